from hypothesis import given
from hypothesis import strategies as st

from inglenook.store.tree import Tree

BRANCHED = Tree(
    [("q1", None), ("a1", "q1"), ("a2", "q1"), ("q2", "a1"), ("a3", "q2"), ("q1b", None)], "a3"
)


def test_path_runs_from_the_first_message_to_the_leaf() -> None:
    assert BRANCHED.list_path("a3") == ["q1", "a1", "q2", "a3"]


def test_siblings_are_the_versions_at_a_place() -> None:
    assert BRANCHED.list_siblings("a2") == ("a1", "a2")
    assert BRANCHED.list_siblings("q1") == ("q1", "q1b")


def test_newest_below_is_the_end_of_the_newest_branch() -> None:
    assert BRANCHED.find_newest_below("q1") == "a3"
    assert BRANCHED.find_newest_below("a2") == "a2"


def test_a_leaf_that_is_not_there_gives_way_to_the_newest_message() -> None:
    assert Tree([("q", None), ("a", "q")], "gone").shown_leaf_id == "a"
    assert Tree([], None).shown_leaf_id is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcdez")), max_size=8))
def test_damaged_references_end_every_walk(edges: list[tuple[str, str]]) -> None:
    tree = Tree(edges, "a")
    for message_id, _ in edges:
        assert tree.list_path(message_id)[-1] == message_id
        tree.find_newest_below(message_id)
        assert message_id in tree.list_siblings(message_id)
