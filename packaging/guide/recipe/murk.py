"""What nobody can follow: mashed keys, lost ends, words that do not exist.

Called by the conversation generator for the class that is answered by "I did not follow".
Pure: all chance comes from the `Random` it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

SMALL_WORDS = (
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "but",
    "by", "can", "could", "did", "do", "does", "else", "for", "from", "get", "got", "had", "has",
    "have", "he", "her", "here", "him", "his", "how", "i", "if", "in", "is", "it", "its", "just",
    "like", "may", "me", "might", "more", "much", "my", "no", "not", "now", "of", "off", "on",
    "one",
    "or", "other", "our", "out", "over", "own", "please", "same", "she", "should", "so", "some",
    "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "thing",
    "things", "this", "those", "to", "too", "under", "up", "us", "very", "was", "we", "were",
    "what", "when", "where", "which", "while", "who", "why", "will", "with", "would", "yes", "yet",
    "you", "your", "im", "i'm", "dont", "don't", "it's", "that's", "want", "need", "know",
    "tell", "way", "really", "still", "even", "make", "go", "going", "thanks", "way", "ever",
)  # fmt: skip
"""Words that carry no topic by themselves."""

_SMALL = frozenset(SMALL_WORDS)
_ONSETS = ("b", "bl", "br", "ch", "cl", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kl",
           "l", "m", "n", "p", "pl", "qu", "r", "s", "sk", "sn", "sp", "st", "t", "tr", "v", "w",
           "z", "zw")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "oo", "ee", "ou", "ai")
_CODAS = ("", "", "b", "ck", "ft", "g", "l", "lt", "m", "mp", "n", "nd", "ng", "p", "r", "rb", "sh",
          "t", "x", "zz")  # fmt: skip
_NONSENSE_SHAPES = (
    "how do i {} the {}", "what is {}", "what does {} mean", "where is the {}", "{} {}", "{}",
    "why does it {}", "can you {} my {}", "is there a {} for {}", "{} {} {}", "show me the {}",
    "i want to {} it", "{} not {}", "turn on {}", "the {} is {}", "explain {}", "tell me about {}",
)  # fmt: skip
_MASHED = ("asdf", "asdfgh", "qwerty", "jkl", "sdfsdf", "lkjh", "zxcv", "hjkl", "fghj", "dfgdfg")
_MARKS = ("?", "??", "???", "!", "...", ".", ":", ";", ",", "-", "_", "#", "*", "/", "~", "=", "()",
          "?!", "…", "1", "42", "0", "12345", "x", "q", "s", "b", "k")  # fmt: skip


def is_small(word: str) -> bool:
    """Whether a word carries no topic."""
    return word.lower().strip(".,?!:;\"'()") in _SMALL


def make_word(rng: Random) -> str:
    """A word that does not exist but could."""
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        for _ in range(rng.choice((1, 1, 2, 2, 3)))
    )


def mash_keys(rng: Random) -> str:
    """What a cat on the keyboard types."""
    if rng.random() < 0.4:
        return " ".join(rng.choice(_MASHED) for _ in range(rng.randint(1, 3)))
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join(
        "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))
        for _ in range(rng.randint(1, 4))
    )


def make_murk(rng: Random, phrasings: Sequence[str]) -> str:
    """One utterance that cannot be followed; `phrasings` are real ones to hollow out."""
    kind = rng.random()
    if kind < 0.12:
        return mash_keys(rng)
    if kind < 0.18:
        return rng.choice(_MARKS) * rng.choice((1, 1, 1, 2))
    if kind < 0.5:
        shape = rng.choice(_NONSENSE_SHAPES)
        return shape.format(*(make_word(rng) for _ in range(shape.count("{}"))))
    if kind < 0.68:
        return " ".join(rng.choice(SMALL_WORDS) for _ in range(rng.randint(1, 6)))
    return hollow_out(rng.choice(phrasings), rng)


def hollow_out(text: str, rng: Random) -> str:
    """A real phrasing whose telling words are lost or replaced by ones that do not exist."""
    replace = rng.random() < 0.6
    words = []
    for word in text.split(" "):
        if is_small(word):
            words.append(word)
        elif replace:
            words.append(make_word(rng))
    return " ".join(words) or mash_keys(rng)
