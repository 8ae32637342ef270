from pathlib import Path

import pytest
from recipe.conversations import NOT_FOLLOWED, OFF_TOPIC
from recipe.corpus import Corpus, CorpusError, find_faults, normalise, read_corpus, read_topic

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "packaging" / "guide" / "corpus"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read_corpus(FOLDER)


def write_topic(folder: Path, name: str, text: str) -> Path:
    path = folder / "app" / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_reads_the_parts_of_a_topic(tmp_path: Path) -> None:
    path = write_topic(
        tmp_path,
        "app-stop",
        "title: stopping\n== ask\nstop it\n\nhalt\n== say\nPress Esc.\n\n- or the button\n"
        "== say\nEsc stops.\n== follow\nand then? -> app-go\n",
    )
    topic = read_topic(path)
    assert (topic.id, topic.area, topic.title) == ("app-stop", "app", "stopping")
    assert topic.asks == ("stop it", "halt")
    assert topic.says == ("Press Esc.\n\n- or the button", "Esc stops.")
    assert [(f.text, f.target) for f in topic.follows] == [("and then?", "app-go")]


@pytest.mark.parametrize(
    "text",
    [
        "== ask\nno title",
        "title: x\n== tell\nwhat",
        "title: x\ncolour: red",
        "title: x\n== follow\nno arrow",
        "title: x\n== follow\n -> app-x",
    ],
)
def test_refuses_broken_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorpusError):
        read_topic(write_topic(tmp_path, "app-x", text))


def test_refuses_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        read_corpus(tmp_path)


def test_finds_what_breaks_the_rules(tmp_path: Path) -> None:
    write_topic(
        tmp_path, "app-a", "title: a\n== ask\nsame words\n== say\nA.\n== follow\nwhy? -> app-z"
    )
    write_topic(tmp_path, "app-b", "title: b\n== ask\nSame words!\n")
    write_topic(tmp_path, "app-c", "title: c\nanswers: app-y\n== ask\nsomething")
    faults = "\n".join(find_faults(read_corpus(tmp_path), min_asks=2))
    assert "app-a: 'why?' leads to app-z" in faults
    assert "app-b: says nothing" in faults
    assert "also asked by app-a" in faults
    assert "app-c: is answered by app-y" in faults
    assert "app-a: 1 phrasings, 2 wanted" in faults


def test_a_topic_may_be_answered_by_another_over_two_steps(tmp_path: Path) -> None:
    write_topic(tmp_path, "app-a", "title: a\n== ask\none\n== say\nA.")
    write_topic(tmp_path, "app-b", "title: b\nanswers: app-a\n== ask\ntwo")
    write_topic(tmp_path, "app-c", "title: c\nanswers: app-b\n== ask\nthree")
    corpus = read_corpus(tmp_path)
    assert corpus.answer_of("app-c") == "app-a"
    assert corpus.says_of("app-c") == ("A.",)
    assert corpus.answer_ids() == ["app-a"]
    assert find_faults(corpus) == []


def test_topics_of_one_answer_share_their_follow_ups(tmp_path: Path) -> None:
    follow = "== follow\n{} -> app-a\nwhy? -> {}\n"
    write_topic(
        tmp_path, "app-b", "title: b\n== ask\ntwo\n== say\nB.\n" + follow.format("so", "app-a")
    )
    write_topic(
        tmp_path,
        "app-a",
        "title: a\nanswers: app-b\n== ask\none\n" + follow.format("then", "app-b"),
    )
    follows = read_corpus(tmp_path).followers_of("app-a")
    assert [(f.text, f.target) for f in follows] == [
        ("so", "app-a"),
        ("why?", "app-a"),
        ("then", "app-a"),
    ]


def test_finds_answers_that_open_with_the_same_word(tmp_path: Path) -> None:
    write_topic(tmp_path, "app-a", "title: a\n== ask\none\n== say\nPress F1.")
    write_topic(tmp_path, "app-b", "title: b\n== ask\ntwo\n== say\nPress F2.\n== say\nPress.")
    faults = find_faults(read_corpus(tmp_path))
    assert faults == ["app-b: its answer opens with 'Press', as that of app-a"]


def test_finds_answers_that_lead_in_a_circle(tmp_path: Path) -> None:
    write_topic(tmp_path, "app-a", "title: a\nanswers: app-b\n== ask\none")
    write_topic(tmp_path, "app-b", "title: b\nanswers: app-a\n== ask\ntwo")
    assert "app-a: its answer leads round in a circle" in find_faults(read_corpus(tmp_path))


def test_keys_stay_apart_where_words_are_the_same() -> None:
    assert normalise("Ctrl + ,") != normalise("ctrl +")
    assert normalise("Stop it!") == normalise("stop, it")


def test_the_corpus_keeps_its_rules(corpus: Corpus) -> None:
    assert find_faults(corpus) == []


def test_the_corpus_has_room_for_what_is_not_known(corpus: Corpus) -> None:
    assert corpus.topics[OFF_TOPIC].says
    assert corpus.topics[NOT_FOLLOWED].says
    off_topic = [
        a for t in corpus.topics.values() if corpus.answer_of(t.id) == OFF_TOPIC for a in t.asks
    ]
    assert len(off_topic) >= 1000


def test_answers_tell_topics_apart(corpus: Corpus) -> None:
    says = [say for topic in corpus.topics.values() for say in topic.says]
    assert len(says) == len(set(says))
