"""Words that people put around a question without changing it.

`TRAINED` frames take part in training, `HELD_OUT` ones only in the evaluation. A frame holds
`{}` once. Called by the conversation generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

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

_CALLS = (
    "hey", "hi", "hello there", "hi all", "morning", "good day", "greetings", "dear app", "ahoy",
    "oi", "hallo", "evening all", "hi again", "hello again", "hey you", "yes", "no wait", "ok then",
    "hm", "ehm", "huh", "psst", "oops", "right then", "anyway", "actually", "first of all", "first",
    "second", "next", "lastly", "finally", "then", "meanwhile", "to begin with", "in short",
)  # fmt: skip
_EXCUSES = (
    "sorry if this was asked already", "forgive the simple question", "i hope this is the place",
    "no hurry", "i'm a beginner", "i am old and slow", "bear with me", "this may be obvious",
    "i know nothing about computers", "english is not my first language", "not sure how to put it",
    "i might be blind", "i gave up searching", "the manual did not help", "nobody could tell me",
    "i read about it yesterday", "somebody at work asked", "we argued about it at dinner",
    "it is my first day with this", "i have it open right now", "i keep forgetting",
    "it has been on my mind", "i thought about it last night", "it puzzles us", "it bugs me",
    "this is driving me mad", "i'm in the middle of something", "i'm stuck", "long story short",
    "one thing is unclear", "let me think how to say it", "two things", "small thing",
    "here is what i need", "here is my problem", "situation", "request", "topic", "task",
    "i'll be quick", "last one for today", "i promise this is the last one", "a thought",
)  # fmt: skip
_ASKERS = (
    "my {r} asks", "my {r} wanted to know", "my {r} keeps asking me", "my {r} would love to hear",
    "somebody on the train asked", "people in the office ask", "the whole family wonders",
    "i need to explain to my {r}", "for my {r}", "my {r} says i should ask you", "we wonder",
    "i would love to know", "i'd love to hear", "i've always wondered", "i have to ask",
    "i have been asking around", "i need to find out", "let me find out", "enlighten me",
    "teach me", "give me a hint", "be so kind and say", "would you say", "will you tell me",
    "are you able to say", "do you have a clue", "have you any idea", "is it known",
    "please explain", "please say", "kindly tell", "what i'd ask is", "the question is",
    "what bothers me is", "all i want to know is", "it would help to know", "in your own words",
    "the thing is", "i fail to see", "i am not sure", "i don't really know", "i ask because",
)  # fmt: skip
_CLOSINGS = (
    "thanks in advance", "many thanks", "thank you so much", "appreciate it", "that would help",
    "i'd be grateful", "please help", "please and thank you", "if you don't mind", "if you can",
    "if i may ask", "if possible", "when you have a moment", "no rush", "that is all",
    "that's my question", "that's what i need", "or so", "or something", "and so on", "you know",
    "i suppose", "i guess", "i think", "i fear", "or not", "or what", "eh", "huh", "right", "ok",
    "yes or no", "be honest", "be brief", "tell me all", "step by step please", "anyone",
    "anybody know", "asking for my {r}", "says my {r}", "my {r} asked", "regards", "best wishes",
    "yours, tom", "greetings from vienna", "bye", "see you", "have a nice day", "haha", ":(", ";)",
    "!!", "...", "it's urgent", "i need it today", "i've been at it since monday",
    "it drives me nuts", "it kept me up last night", "still wondering", "just asking",
    "just to be sure", "for once", "after all", "at all", "by any chance", "in general",
    "these days", "at the moment", "for a start", "on this thing",
)  # fmt: skip
_MUSING = (
    "wondering", "brooding", "racking my brains", "scratching my head", "fretting", "asking around",
    "losing sleep", "going back and forth", "thinking it over", "at a loss", "chewing on this",
    "searching", "trying", "looking", "stuck on that", "arguing about it", "sitting here",
)  # fmt: skip
_WHILE = (
    "all morning", "all week", "since lunch", "for ages", "for days", "since breakfast",
    "the whole evening", "half the night", "for a good while", "since yesterday", "for hours now",
    "the entire weekend", "on and off", "ever since i got up", "on the way to work",
)  # fmt: skip
_WANTED = (
    "a tip", "a pointer", "a word from you", "some advice", "an answer", "some help", "a favour",
    "your help", "a second", "some guidance", "an expert", "a clue", "a push", "a quick word",
)  # fmt: skip
_WANTING = (
    "need", "i need", "could use", "i could use", "looking for", "hoping for", "wanted",
    "i'd like", "in need of", "may i have", "can i get", "got time for",
)  # fmt: skip
_ASKING = (
    "friend", "sister", "brother", "mother", "father", "dad", "mum", "uncle", "aunt", "daughter",
    "wife", "husband", "neighbour", "teacher", "manager", "grandson", "cousin", "flatmate", "team",
)  # fmt: skip
_LINKS = (", ", ". ", ": ", " - ", " ", "; ", "... ", "! ")


def compose_frame(rng: Random) -> str:
    """A frame that nobody wrote: a call, an excuse, one who asks and a closing, or some of them."""
    if rng.random() < 0.25:
        return _compose_aside(rng)
    before = [
        rng.choice(part)
        for part, chance in ((_CALLS, 0.3), (_EXCUSES, 0.35), (_ASKERS, 0.4))
        if rng.random() < chance
    ]
    after = rng.choice(_CLOSINGS) if not before or rng.random() < 0.3 else ""
    opening = "".join(part + rng.choice(_LINKS) for part in before)
    closing = rng.choice((", ", " ", ". ", " - ")) + after if after else ""
    return (opening + "{}" + closing).replace("{r}", rng.choice(_ASKING))


def _compose_aside(rng: Random) -> str:
    """What somebody has been doing, or needs, before the question or after it."""
    if rng.random() < 0.5:
        who = rng.choice(("been ", "i've been ", "i was ", "we've been ", "was ", "my {r} was "))
        aside = who + rng.choice(_MUSING) + " " + rng.choice(_WHILE)
    else:
        aside = rng.choice(_WANTING) + " " + rng.choice(_WANTED)
    aside = aside.replace("{r}", rng.choice(_ASKING))
    link = rng.choice(_LINKS)
    return aside + link + "{}" if rng.random() < 0.5 else "{}" + link + aside


HELD_OUT = (
    "good evening! {}", "howdy, {}", "pardon me for asking, {}", "would you mind telling me {}",
    "i'm curious about something: {}", "it may sound silly, but {}", "here's one for you: {}",
    "might you know {}", "could someone explain: {}", "{} much appreciated", "{}, cheers",
    "i keep asking myself: {}", "a colleague wants to know: {}", "before i forget, {}",
    "{} been puzzling over it all day", "ok here goes: {}", "need a hand. {}", "{} kind regards",
)  # fmt: skip
