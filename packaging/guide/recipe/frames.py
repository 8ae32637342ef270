"""Words that people put around a question without changing it.

`TRAINED` frames take part in training, `HELD_OUT` ones only in the evaluation. A frame holds
`{}` once. Pure data, called by the conversation generator.
"""

from __future__ import annotations

TRAINED = (
    "hey, {}", "hi, {}", "hello, {}", "hi there. {}", "good morning, {}", "hey inglenook, {}",
    "um, {}", "ok so {}", "so {}", "well, {}", "right, {}", "and {}", "but {}", "alright {}",
    "please, {}", "{} please", "{}, please", "{} pls", "{} thanks", "{}, thank you", "{} thx",
    "sorry, {}", "sorry to bother you, {}", "excuse me, {}", "pardon, {}", "quick question: {}",
    "question: {}", "one question, {}", "a small question. {}", "stupid question but {}",
    "dumb question, {}", "maybe a silly question: {}", "i have a question. {}", "help! {}",
    "help, {}", "help me, {}", "i need help: {}", "can you help me? {}", "can you help? {}",
    "could you tell me {}", "can you tell me {}", "please tell me {}", "tell me, {}", "tell me {}",
    "do you know {}", "do you happen to know {}", "any idea {}", "{} any idea?", "{}, any ideas",
    "i was wondering {}", "i wonder {}", "just wondering, {}", "just curious: {}", "curious, {}",
    "i'd like to know {}", "i want to know {}", "i would like to ask: {}", "may i ask, {}",
    "can i ask something, {}", "my question is {}", "my question is: {}", "explain: {}",
    "hmm, {}", "erm {}", "oh and {}", "also, {}", "also {}", "by the way, {}", "btw {}",
    "another thing: {}", "next question, {}", "one more thing, {}", "one more, {}", "ok, {}",
    "okay, {}", "now {}", "listen, {}", "look, {}", "honestly {}", "seriously, {}", "really, {}",
    "i'm new here. {}", "i am new to this, {}", "i'm not good with computers. {}", "sir, {}",
    "first time user here, {}", "i just installed this. {}", "my friend asked me: {}",
    "dear guide, {}",
    "my son asks {}", "my boss wants to know {}", "i don't understand, {}", "i don't get it, {}",
    "i can't figure it out, {}", "i've been trying for an hour. {}", "i looked everywhere. {}",
    "{} i can't find it", "{} i have no idea", "{} i'm lost", "{}, i'm confused", "{} lol",
    "{} :)", "{} asap", "{} in this app", "{} here", "{} in inglenook", "in this app, {}",
    "in inglenook {}", "with this program {}", "{} with this", "{} right now", "{} btw", "yo {}",
    "{} bro", "dude {}", "mate, {}", "{} man", "wait, {}", "wait {}", "oh, {}", "ah ok. {}",
    "thanks. {}", "thank you. {}", "cool, {}", "great. {}", "nice, {}", "fine, {}", "no, {}",
    "not that, {}", "i meant: {}", "i mean {}", "what i want to know is {}",
    "{} (simple words please)",
    "{} in simple words", "{} in short", "in one sentence: {}", "short answer: {}", "{} exactly",
    "so tell me, {}", "now then, {}", "let me ask: {}", "let me ask you this: {}", "\"{}\"",
)  # fmt: skip

HELD_OUT = (
    "good evening! {}", "howdy, {}", "pardon me for asking, {}", "would you mind telling me {}",
    "i'm curious about something: {}", "it may sound silly, but {}", "here's one for you: {}",
    "might you know {}", "could someone explain: {}", "{} much appreciated", "{}, cheers",
    "i keep asking myself: {}", "a colleague wants to know: {}", "before i forget, {}",
    "{} been puzzling over it all day", "ok here goes: {}", "need a hand. {}", "{} kind regards",
)  # fmt: skip
