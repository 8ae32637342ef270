"""Small harm done to a phrasing: typos, capitals, punctuation, abbreviations, lost words.

Called by the conversation generator. Pure: all chance comes from the `Random` it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NEIGHBOURS = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij",
    "i": "uok", "o": "ipl", "p": "ol", "a": "qsz", "s": "adwx", "d": "sfec", "f": "dgrv",
    "g": "fhtb", "h": "gjyn", "j": "hkum", "k": "jlim", "l": "kop", "z": "asx", "x": "zsdc",
    "c": "xdfv", "v": "cfgb", "b": "vghn", "n": "bhjm", "m": "njk",
}  # fmt: skip
"""Keys beside each other on a keyboard."""

ABBREVIATIONS = {
    "you": "u", "your": "ur", "are": "r", "why": "y", "please": "pls", "to": "2", "for": "4",
    "because": "cuz", "thanks": "thx", "message": "msg", "messages": "msgs", "what": "wat",
    "with": "w", "and": "n", "the": "da", "about": "abt", "really": "rly", "want": "wanna",
    "people": "ppl", "through": "thru", "okay": "ok", "something": "smth", "before": "b4",
    "see": "c", "though": "tho", "computer": "pc", "between": "btw", "without": "w/o",
    "tokens": "toks", "picture": "pic", "pictures": "pics", "conversation": "convo",
    "conversations": "convos", "seconds": "secs", "going to": "gonna", "i do not know": "idk",
    "information": "info", "application": "app", "settings": "setings", "have": "hv",
    "does": "duz", "this": "dis", "that": "dat", "them": "em", "how": "hw",
}  # fmt: skip

SYNONYMS = tuple(
    tuple(word.strip() for word in line.split("/"))
    for line in """
    chat / conversation / convo / discussion / thread / talk / dialogue
    chats / conversations / convos / discussions / threads / talks / dialogues
    delete / remove / erase / get rid of / bin / trash / throw away / wipe / discard / scrap / drop
    deleted / removed / erased / binned / trashed / threw away / wiped / discarded
    deleting / removing / erasing / wiping / throwing away
    restore / recover / bring back / get back / undelete / retrieve / rescue
    fast / quick / speedy / rapid / swift
    faster / quicker / speedier / more rapid / snappier
    speed / pace / velocity / quickness
    slow / sluggish / crawling / laggy / snail / dragging
    computer / machine / pc / laptop / box / desktop / notebook / device
    picture / image / photo / pic / screenshot
    pictures / images / photos / pics / screenshots
    reply / answer / response / output
    replies / answers / responses / outputs
    answering / replying / responding / writing / generating / typing
    question / prompt / message / request / query / input
    show / display / present / let me see
    big / large / huge / enormous / hefty
    bigger / larger / greater / heavier
    biggest / largest / heaviest
    small / tiny / little / mini / light
    smaller / tinier / lighter
    change / alter / modify / adjust / tweak / set / tune
    find / locate / track down / look for / search for / look up / dig up
    start / begin / launch / kick off / open
    stop / halt / end / cancel / abort / interrupt / quit / kill / pause
    make / create / produce / build
    use / employ / work with / run with / utilise
    mean / stand for / signify / stands for / refer to
    explain / describe / clarify / tell me about / what is / define / explanation of
    folder / directory / dir / path
    app / program / application / software / tool / inglenook / thing
    window / screen / view
    button / icon / control
    text / writing / words / wording
    file / files
    internet / web / network / net / online / wifi / connection
    private / confidential / secret / safe from others
    privacy / confidentiality / secrecy
    download / fetch / get / grab / pull / install
    downloading / fetching / getting / pulling
    broken / not working / busted / does not work / doesn't work / kaputt
    wrong / incorrect / false / mistaken / untrue / nonsense / rubbish / garbage
    error / failure / problem / trouble / issue / fault
    crash / freeze / hang / die / fall over
    crashed / froze / hung / died
    crashes / freezes / hangs / dies
    see / view / look at / watch
    old / earlier / previous / past / former / from before
    forget / lose / not remember / drop
    forgets / loses / does not remember / doesn't remember
    remember / recall / know / keep in mind
    shortcut / hotkey / key / key combination / keybinding
    typed / wrote / entered / put in
    keep / hold on to / retain / preserve
    save / store / keep
    stored / saved / kept / put / written
    graphics card / gpu / video card / graphics / nvidia / geforce / radeon / rtx
    processor / cpu / chip
    memory / ram
    cost / price / charge / fee / fees
    costs / prices / fees / charges
    pay / be charged / spend money / buy
    free / free of charge / gratis / for nothing
    money / cash / dollars / euros
    smart / clever / intelligent / bright / good / capable
    smarter / cleverer / more intelligent / better / stronger / more capable / more powerful
    dumb / stupid / silly / thick / useless / bad / weak / poor
    why / how come / for what reason / what makes / y
    what is / what's / whats / what are / wat is
    how do i / how can i / how to / how would i / how does one / way to / how 2 / what do i do to
    where is / where's / wheres / where do i find / where are / where can i see
    can i / may i / could i / am i able to / is it possible to / is there a way to / am i allowed to
    i want to / i'd like to / i need to / i wanna / let me / i would like to / i wish to
    does it / will it / would it / is it going to
    is there / do you have / does it have / is there any / have you got
    model / ai / llm / language model / brain / bot
    models / ais / llms / language models
    random / by chance / unpredictable / arbitrary
    repeat / loop / say again / go round in circles
    repeats / loops / says again
    repeating / looping
    same / identical / equal
    different / other / another / varying
    longer / more lengthy / lengthier
    shorter / briefer / more concise
    short / brief / concise / terse
    long / lengthy / endless / extended
    often / frequently / always / all the time
    wait / delay / pause / lag
    waiting / pausing
    number / figure / value / stat
    numbers / figures / values / stats / statistics
    colour / color
    dark / black / night
    light / bright / white / day
    font / letters / type
    setting / option / preference / parameter
    settings / options / preferences / configuration / config
    turn off / switch off / disable / deactivate
    turn on / switch on / enable / activate
    terminal / command line / shell / console / cmd / cli
    command / instruction
    script / program / automation / bash script
    language / tongue
    translate / put into another language
    code / programming / coding / source
    maths / math / arithmetic / calculation / sums
    story / tale / novel / fiction
    write / compose / draft
    check / verify / test / inspect / validate
    copy / duplicate / clipboard
    paste / insert
    send / submit / post / fire off
    sent / submitted / posted
    edit / correct / fix / rewrite / revise / reword
    again / once more / one more time / anew / over
    name / title / label / heading
    rename / retitle / relabel / call it something else
    list / overview / index
    left / left side / left-hand
    top / above / upper
    bottom / below / foot / lower
    hidden / invisible / not visible / gone / missing / vanished / disappeared
    gone / lost / vanished / disappeared / missing
    finish / complete / end
    finished / complete / done / over
    continue / carry on / go on / resume / keep going / pick up
    cut off / truncated / chopped / ended halfway / stopped in the middle / unfinished
    limit / maximum / cap / ceiling / max
    size / how big / dimensions / gigabytes
    space / room
    full / maxed out / used up
    disk / drive / hard disk / ssd / storage / hard drive
    phone / mobile / smartphone / iphone / android
    voice / speech / speaking / audio / microphone / sound
    electricity / power / energy / battery
    hot / warm / loud / noisy
    update / upgrade / new version / newest version / latest version
    install / set up / setup
    uninstall / remove completely / get rid of
    licence / license / terms / permission
    account / login / sign in / registration / sign up / password
    company / business / work / commercial
    people / persons / humans / folks
    person / human / man / woman / somebody
    friend / buddy / mate / pal
    good / nice / great / fine / decent / proper
    best / ideal / optimal / top / recommended / right
    recommend / suggest / advise
    choose / pick / select / decide on
    compare / versus / vs / difference between / or
    difference / distinction
    need / require / want
    enough / sufficient / adequate
    weird / strange / odd / funny / gibberish / garbled
    made up / invented / fabricated / hallucinated
    lie / invent / make up / hallucinate
    truth / facts / reality
    safe / secure / protected
    spy / snoop / listen / eavesdrop / watch me / track
    read / look into / see
    upload / send out / transmit
    cloud / server / data centre / remote
    local / on my machine / on my own computer / at home / on device
    offline / without internet / no connection / on a plane
    word / term / expression
    letters / characters / chars
    piece / chunk / part / bit / fragment
    calculate / compute / work out
    guess / predict / estimate
    likely / probable
    chance / probability / odds / likelihood
    layer / level
    thread / core
    threads / cores
    compress / shrink / squeeze / reduce
    compressed / shrunk / reduced
    quality / accuracy / precision / exactness
    quantisation / quantization / quant / quants
    parameters / params / weights
    import / load / bring in / add / use
    add / put in / include / attach
    attach / upload / drop in / hand over
    document / pdf / doc / word file / report
    cached / reused / remembered
    quickly / fast / at once / instantly / immediately
    button / thing to click / knob
    click / press / tap / hit / push
    mouse / cursor / pointer
    scroll / move down / page down
    panel / sidebar / pane / bar
    hello / hi / hey / hiya / greetings / howdy / yo
    thanks / thank you / thx / cheers / ty / many thanks
    bye / goodbye / see you / farewell / cya
    stupid / idiotic / moronic / dumb / useless
    awesome / brilliant / great / wonderful / amazing / superb / fantastic
    sad / unhappy / depressed / down / lonely / miserable
    joke / gag / pun / something funny
    who are you / what are you / introduce yourself
    """.strip().splitlines()
)
"""Words that may stand for each other in most questions of this corpus."""


def _group_synonyms() -> dict[str, list[str]]:
    others: dict[str, list[str]] = {}
    for group in SYNONYMS:
        for word in group:
            others.setdefault(word, []).extend(other for other in group if other != word)
    return others


_SYNONYM_OF = _group_synonyms()
_SYNONYM = re.compile(
    r"(?<!\w)(" + "|".join(sorted(map(re.escape, _SYNONYM_OF), key=len, reverse=True)) + r")(?!\w)",
    re.IGNORECASE,
)


def add_typo(word: str, rng: Random) -> str:
    """One slip of the finger in a word of at least three letters."""
    if len(word) < 3 or not word.isascii():
        return word
    at = rng.randrange(1, len(word))
    kind = rng.randrange(5)
    if kind == 0:
        return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at - 1] + word[at:]
    near = NEIGHBOURS.get(word[at].lower(), "")
    if not near:
        return word
    if kind == 3:
        return word[:at] + rng.choice(near) + word[at + 1 :]
    return word[:at] + rng.choice(near) + word[at:]


def add_typos(text: str, rng: Random, rate: float = 0.12) -> str:
    """Slips in about `rate` of the words, at least one; now and then a lost space."""
    words = text.split(" ")
    hit = [index for index, word in enumerate(words) if len(word) > 3 and rng.random() < rate]
    if not hit:
        hit = [rng.randrange(len(words))]
    for index in hit:
        words[index] = add_typo(words[index], rng)
    if len(words) > 3 and rng.random() < 0.1:
        at = rng.randrange(1, len(words))
        words[at - 1 : at + 1] = [words[at - 1] + words[at]]
    return " ".join(words)


def abbreviate(text: str, rng: Random, rate: float = 0.6) -> str:
    """The same in the style of a text message."""
    words = text.split(" ")
    short = [
        ABBREVIATIONS[word] if word in ABBREVIATIONS and rng.random() < rate else word
        for word in words
    ]
    return " ".join(short).replace("'", "")


def swap_synonyms(text: str, rng: Random, rate: float = 0.5) -> str:
    """Put some words' near equals in their place."""

    def swap(match: re.Match[str]) -> str:
        if rng.random() >= rate:
            return match.group(0)
        return rng.choice(_SYNONYM_OF[match.group(0).lower()])

    return _SYNONYM.sub(swap, text)


def drop_words(text: str, rng: Random, rate: float = 0.2) -> str:
    """Leave out some words, never all."""
    words = text.split(" ")
    if len(words) < 3:
        return text
    kept = [word for word in words if rng.random() >= rate]
    return " ".join(kept if len(kept) >= 2 else words)


def change_case(text: str, rng: Random) -> str:
    """Capitals as people use them: first letter, every word, all, none."""
    kind = rng.random()
    if kind < 0.5:
        return text[:1].upper() + text[1:]
    if kind < 0.7:
        return text.lower()
    if kind < 0.85:
        return text.upper()
    return text.title()


def change_punctuation(text: str, rng: Random) -> str:
    """End marks and apostrophes as people use them."""
    kind = rng.random()
    bare = text.rstrip(" ?.!")
    if kind < 0.4:
        return bare + "?"
    if kind < 0.6:
        return bare
    if kind < 0.75:
        return bare + "."
    if kind < 0.82:
        return bare + rng.choice((" ?", "??", "?!", "!!", "...", "!"))
    return bare.replace("'", "").replace(",", "")
