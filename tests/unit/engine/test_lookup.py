"""Guesses from earlier text, and which of them are worth checking."""

import random

from inglenook.engine.lookup import MAX_GUESSES, N_GRAM, SIZES, Bets, Lookup


def follow_all(prompt: list[int], later: list[int]) -> tuple[Lookup, list[int]]:
    tokens = list(prompt)
    lookup = Lookup(tokens)
    lookup.follow()
    for token in later:
        tokens.append(token)
        lookup.follow()
    return lookup, tokens


def test_a_copy_is_guessed_from_its_third_token_on() -> None:
    text = list(range(100, 160))
    tokens = [*text, 1, 2]
    lookup = Lookup(tokens)
    lookup.follow()
    assert lookup.guess(5) == []
    for i in range(N_GRAM):
        tokens.append(text[10 + i])
        lookup.follow()
    assert lookup.length == N_GRAM
    assert lookup.guess(5) == text[13:18]


def test_the_match_grows_backwards_and_forwards() -> None:
    lookup, tokens = follow_all([*range(50), 7, 7], list(range(20, 30)))
    assert lookup.length == 10
    again = Lookup(tokens)
    again.follow()
    assert again.length == 10
    assert again.guess(3) == [30, 31, 32]


def test_the_newest_place_wins() -> None:
    lookup, _ = follow_all([1, 2, 3, 4, 9, 1, 2, 3, 5, 9], [1, 2, 3])
    assert lookup.guess(1) == [5]


def test_a_loop_is_guessed_round_and_round() -> None:
    lookup, _ = follow_all([0, 1, 2, 3], [1, 2, 3, 1, 2, 3])
    assert lookup.guess(7) == [1, 2, 3, 1, 2, 3, 1]


def test_a_wrong_guess_loses_the_place_and_finds_another() -> None:
    lookup, tokens = follow_all([1, 2, 3, 4, 8, 2, 3, 5, 6, 0], [1, 2, 3])
    assert lookup.guess(1) == [4]
    tokens.append(5)
    lookup.follow()
    assert lookup.guess(1) == [6]
    tokens.append(7)
    lookup.follow()
    assert lookup.guess(3) == []


TEXT = [*range(100, 200), 7, 7]


def read_on(lookup: Lookup, tokens: list[int], later: list[int]) -> None:
    for token in later:
        tokens.append(token)
        lookup.follow()


def test_a_copy_with_one_other_token_is_guessed_on_at_once() -> None:
    lookup, tokens = follow_all(TEXT, list(range(110, 130)))
    read_on(lookup, tokens, [1])
    assert lookup.guess(4) == [131, 132, 133, 134]
    read_on(lookup, tokens, [131, 132])
    assert lookup.length > 20


def test_a_copy_that_leaves_out_a_few_tokens_is_guessed_on_at_once() -> None:
    lookup, tokens = follow_all(TEXT, list(range(110, 130)))
    read_on(lookup, tokens, [133])
    assert lookup.guess(3) == [134, 135, 136]


def test_a_copy_with_a_few_tokens_more_is_found_again() -> None:
    lookup, tokens = follow_all(TEXT, list(range(110, 130)))
    read_on(lookup, tokens, [1, 2])
    assert lookup.guess(3) == []  # The token after the first was no guess that came true.
    read_on(lookup, tokens, [130])
    assert lookup.guess(3) == [131, 132, 133]


def test_a_longer_name_in_place_of_a_shorter_one_is_stepped_over() -> None:
    lookup, tokens = follow_all(TEXT, list(range(110, 130)))
    read_on(lookup, tokens, [1, 2, 3, 132])
    assert lookup.guess(3) == [133, 134, 135]


def test_what_goes_on_as_another_text_is_given_up() -> None:
    lookup, tokens = follow_all(TEXT, list(range(110, 130)))
    read_on(lookup, tokens, [1, 2, 3, 4, 5])
    read_on(lookup, tokens, [131])
    assert lookup.guess(3) == []


def test_a_short_match_is_given_up_at_its_first_change() -> None:
    lookup, tokens = follow_all(TEXT, [110, 111, 112, 113])
    read_on(lookup, tokens, [1])
    assert lookup.guess(3) == []


def test_going_on_after_changes_is_bet_on_as_it_comes_true() -> None:
    """Where each change is the end of the copy, nothing is lost by guessing on for long."""
    lookup, tokens = follow_all(TEXT, [])
    bets, n_bets = Bets(), 0
    for i in range(40):
        read_on(lookup, tokens, [*range(110, 130), 1000 + 2 * i])
        n_bets += bets.choose(lookup, MAX_GUESSES) > 0
        read_on(lookup, tokens, [1001 + 2 * i, 3000 + i, 4000 + i, 5000 + i])
    assert 0 < n_bets < 10
    for i in range(40):
        read_on(lookup, tokens, [*range(110, 130), 6000 + i, *range(131, 150)])
    read_on(lookup, tokens, [*range(110, 130), 2])
    assert bets.choose(lookup, MAX_GUESSES) >= 15


def test_text_that_never_repeats_is_never_bet_on() -> None:
    rng = random.Random(1)
    tokens = [rng.randrange(10**6) for _ in range(500)]
    lookup, bets = Lookup(tokens), Bets()
    for _ in range(500):
        lookup.follow()
        assert bets.choose(lookup, MAX_GUESSES) == 0
        tokens.append(rng.randrange(10**6))


def test_a_long_copy_is_bet_on_in_full() -> None:
    lookup, _ = follow_all([*range(200), 7, 7], list(range(40)))
    assert Bets().choose(lookup, MAX_GUESSES) == MAX_GUESSES
    assert Bets().choose(lookup, 4) == SIZES[0] - 1


def test_guesses_that_fail_end_the_bets() -> None:
    rng = random.Random(2)
    bets = Bets()
    n_bets = 0
    tokens = list(range(10)) * 3
    lookup = Lookup(tokens)
    for _ in range(400):
        lookup.follow()
        n_bets += bets.choose(lookup, MAX_GUESSES) > 0
        # Three tokens as before, then always something new.
        start = rng.randrange(8)
        tokens += [start, start + 1, start + 2, 10_000 + len(tokens)]
    assert n_bets < 20


def test_costly_steps_are_not_bet_on_until_they_are_old_news() -> None:
    lookup, _ = follow_all([*range(200), 7, 7], list(range(40)))
    bets = Bets()
    bets.note(1, 0.01)
    for size in SIZES:
        bets.note(size, 0.5)
    assert bets.choose(lookup, MAX_GUESSES) == 0
    for _ in range(4000):
        bets.note(1, 0.01)
    assert bets.choose(lookup, MAX_GUESSES) > 0


def test_cheap_steps_are_bet_on_after_a_short_match() -> None:
    lookup, _ = follow_all([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], [3, 4, 5])
    bets = Bets()
    assert bets.choose(lookup, MAX_GUESSES) == 0
    bets.note(1, 0.010)
    bets.note(4, 0.011)
    assert bets.choose(lookup, MAX_GUESSES) == 3


def test_no_token_is_lost_or_changed() -> None:
    """Whatever is guessed, the tokens are only read."""
    rng = random.Random(3)
    tokens = [rng.randrange(4) for _ in range(300)]
    kept = list(tokens)
    lookup = Lookup(tokens)
    for _ in range(300):
        lookup.follow()
        lookup.guess(15)
        token = rng.randrange(4)
        tokens.append(token)
        kept.append(token)
    assert tokens == kept
