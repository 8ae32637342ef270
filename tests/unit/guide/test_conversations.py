from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from recipe import elsewhere, frames, murk, noise
from recipe.baseline import NearestPhrasing
from recipe.conversations import (
    LIGHT,
    NOT_FOLLOWED,
    OFF_TOPIC,
    Conversation,
    Generator,
    Mix,
    Pool,
    draw_system_prompt,
    piece_together,
    put_in_frame,
    roughen,
)
from recipe.corpus import Corpus, read_corpus
from recipe.evidence import Evidence
from recipe.exams import UNTRAINED_SYSTEM_PROMPTS, make_exams, read_blind
from recipe.split import Split, split_corpus

GUIDE = Path(__file__).parents[3] / "packaging" / "guide"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read_corpus(GUIDE / "corpus")


@pytest.fixture(scope="module")
def split(corpus: Corpus) -> Split:
    return split_corpus(corpus)


def draw(
    corpus: Corpus, split: Split, seed: int, n: int, mix: Mix | None = None
) -> list[Conversation]:
    generator = Generator(corpus, split, Random(seed), mix)
    return [generator.draw() for _ in range(n)]


def test_one_seed_gives_one_stream(corpus: Corpus, split: Split) -> None:
    assert draw(corpus, split, 1, 200) == draw(corpus, split, 1, 200)
    assert draw(corpus, split, 1, 200) != draw(corpus, split, 2, 200)


def test_the_split_is_whole_and_apart(corpus: Corpus, split: Split) -> None:
    for topic in corpus.topics.values():
        parts = (split.train[topic.id], split.choose[topic.id], split.report[topic.id])
        together = [ask for part in parts for ask in part]
        assert sorted(together) == sorted(topic.asks)
    n_report = sum(map(len, split.report.values()))
    assert 0.06 < n_report / sum(len(t.asks) for t in corpus.topics.values()) < 0.10


def test_a_new_phrasing_moves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "app" / "app-a.txt"
    path.parent.mkdir()
    asks = [f"phrasing number {n}" for n in range(60)]
    path.write_text("title: a\n== ask\n" + "\n".join(asks) + "\n== say\nA.\n")
    before = split_corpus(read_corpus(tmp_path))
    path.write_text("title: a\n== ask\nnew one\n" + "\n".join(asks) + "\n== say\nA.\n")
    after = split_corpus(read_corpus(tmp_path))
    assert set(after.train["app-a"]) - set(before.train["app-a"]) <= {"new one"}
    assert set(before.report["app-a"]) <= set(after.report["app-a"])


def test_replies_are_authored_answers_of_their_topic(corpus: Corpus, split: Split) -> None:
    for conversation in draw(corpus, split, 3, 500):
        assert 1 <= len(conversation.exchanges) <= 12
        for exchange in conversation.exchanges:
            assert exchange.user.strip()
            assert exchange.reply in corpus.says_of(exchange.topic_id)


def test_follow_ups_come_after_their_topic(corpus: Corpus, split: Split) -> None:
    mix = Mix(multi_turn=1.0, long=0.0, murk=0.0, off_topic=0.0)
    n_follows = 0
    for conversation in draw(corpus, split, 4, 300, mix):
        exchanges = conversation.exchanges
        assert not exchanges[0].is_follow
        for before, exchange in pairwise(exchanges):
            if exchange.is_follow and len(exchanges) == 2:
                targets = {corpus.answer_of(f.target) for f in corpus.followers_of(before.topic_id)}
                assert exchange.topic_id in targets
                n_follows += 1
    assert n_follows > 20


def test_single_questions_never_use_phrasings_kept_back(corpus: Corpus, split: Split) -> None:
    kept = {ask for asks in split.report.values() for ask in asks if len(ask) > 25}
    known = {ask for asks in split.train.values() for ask in asks}
    seen = {e.user for c in draw(corpus, split, 5, 3000) for e in c.exchanges}
    assert not seen & (kept - known)


def test_frames_hold_one_place() -> None:
    for frame in (*frames.TRAINED, *frames.HELD_OUT):
        assert frame.count("{}") == 1
    assert not set(frames.TRAINED) & set(frames.HELD_OUT)
    assert put_in_frame("stop it?", "{} please") == "stop it please"
    assert put_in_frame("stop it?", "hey, {}") == "hey, stop it?"


def test_composed_frames_are_many_and_hold_one_place() -> None:
    rng = Random(12)
    composed = {frames.compose_frame(rng) for _ in range(1000)}
    assert len(composed) > 700
    assert all(frame.count("{}") == 1 for frame in composed)
    assert not any("{r}" in frame for frame in composed)
    assert not composed & set(frames.HELD_OUT)


def test_light_roughening_keeps_most_words() -> None:
    rng = Random(13)
    ask = "how do i delete a whole chat"
    words = set(ask.split())
    kept = [len(words & set(roughen(ask, rng, LIGHT).lower().split())) for _ in range(300)]
    assert sum(kept) / 300 > 0.85 * len(words)
    rough = [len(words & set(roughen(ask, rng).lower().split())) for _ in range(300)]
    assert sum(rough) < sum(kept)


def test_what_is_not_known_yet_is_drawn_more_often() -> None:
    pool = Pool([("known", "a"), ("unknown", "b")], [1.0, 1.0])
    rng = Random(14)
    assert 400 < sum(pool.draw(rng)[0] == "unknown" for _ in range(1000)) < 600
    pool.favour([1.0, 0.0])
    assert 730 < sum(pool.draw(rng)[0] == "unknown" for _ in range(1000)) < 870


def test_system_prompts_of_the_exams_are_not_trained() -> None:
    rng = Random(15)
    assert not {draw_system_prompt(rng) for _ in range(2000)} & set(UNTRAINED_SYSTEM_PROMPTS)


@pytest.mark.parametrize("text", ["how do i stop it", "kv cache", "x", "?", "naïve café 🙂"])
def test_roughening_leaves_something(text: str) -> None:
    for seed in range(200):
        assert roughen(text, Random(seed)).strip()


def test_noise_is_small() -> None:
    rng = Random(1)
    assert noise.abbreviate("are you there", rng, rate=1.0) == "r u there"
    assert noise.drop_words("two words", rng, rate=1.0) == "two words"
    for _ in range(200):
        assert abs(len(noise.add_typo("conversation", rng)) - len("conversation")) <= 1
    assert noise.swap_synonyms("gpu", Random(2), rate=1.0) != "gpu"


def test_murk_is_never_a_known_phrasing(split: Split) -> None:
    known = [ask for asks in split.train.values() for ask in asks if len(ask.split()) > 3]
    rng = Random(6)
    told = {ask for ask in known if not all(map(murk.is_small, ask.split()))}
    assert not {murk.make_murk(rng, known) for _ in range(500)} & told


def test_evidence_leaves_the_phrasing_itself_out() -> None:
    evidence = Evidence({"a": ["stop the reply", "halt the reply"], "b": ["zebra crossing"]})
    certainty, is_right = evidence.judge("stop the reply", "a", "stop the reply")
    assert is_right
    assert certainty > 0.8
    alone, _ = evidence.judge("zebra", "b", "zebra crossing")
    backed, _ = evidence.judge("zebra", "b", "crossing")
    assert alone < 0.8 < backed


def test_nearest_phrasing_finds_shared_words() -> None:
    nearest = NearestPhrasing([("stop the reply", "a"), ("delete a chat", "b")])
    assert nearest.find("how can i delete this chat") == "b"
    assert nearest.find("zzz") is None


def test_exams_ask_nothing_that_was_trained(corpus: Corpus, split: Split) -> None:
    exams = {exam.name: exam for exam in make_exams(corpus, split, None)}
    known = {ask for asks in split.train.values() for ask in asks}
    assert not {q.ask for q in exams["unseen phrasing"].questions} & known
    assert not {q.ask for q in exams["unseen frame"].questions} & known
    assert all(NOT_FOLLOWED in q.right for q in exams["not to be followed"].questions)
    again = {exam.name: exam for exam in make_exams(corpus, split, None)}
    assert exams == again


def test_blind_questions_name_topics_that_exist(corpus: Corpus) -> None:
    path = GUIDE / "heldout" / "blind.txt"
    assert len(read_blind(path, corpus)) >= 100


class StubJudge:
    """Takes every question for one topic."""

    def __init__(self, topic_id: str, certainty: float) -> None:
        self.verdict = topic_id, certainty
        self.asked: list[str] = []

    def judge(self, text: str) -> tuple[str, float]:
        self.asked.append(text)
        return self.verdict


@pytest.mark.parametrize(
    ("certainty", "wanted"), [(0.9, "app-stop"), (0.05, NOT_FOLLOWED)], ids=["sure", "unsure"]
)
def test_pieced_questions_are_answered_as_the_judge_takes_them(
    corpus: Corpus, split: Split, certainty: float, wanted: str
) -> None:
    judge = StubJudge("app-stop", certainty)
    mix = Mix(murk=0.0, off_topic=0.0, pieced=1.0, multi_turn=0.0, long=0.0)
    generator = Generator(corpus, split, Random(7), mix, judge)
    exchanges = [generator.draw().exchanges[0] for _ in range(50)]
    assert {exchange.topic_id for exchange in exchanges} == {wanted}
    assert [exchange.user for exchange in exchanges] == judge.asked


def test_pieces_are_of_both_phrasings() -> None:
    rng = Random(8)
    pieced = {piece_together("stop the reply", "halt this answer", rng) for _ in range(200)}
    assert "stop this answer" in pieced
    assert all(pieced)


def test_questions_about_elsewhere_are_off_topic(corpus: Corpus, split: Split) -> None:
    rng = Random(9)
    asked = [elsewhere.ask_elsewhere(rng) for _ in range(500)]
    assert not any("{" in ask for ask in asked)
    assert len(set(asked)) > 450
    mix = Mix(murk=0.0, off_topic=1.0, elsewhere=1.0, multi_turn=0.0, long=0.0)
    topics = {c.exchanges[0].topic_id for c in draw(corpus, split, 10, 50, mix)}
    assert topics == {OFF_TOPIC}


def test_every_effective_follow_up_is_on_one_side(corpus: Corpus, split: Split) -> None:
    for answer_id in corpus.answer_ids():
        together = {*split.train_follows[answer_id], *split.report_follows[answer_id]}
        assert together == set(corpus.followers_of(answer_id))
        assert not set(split.train_follows[answer_id]) & set(split.report_follows[answer_id])
