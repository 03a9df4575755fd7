"""Long papers in parts: all of the text, in order, each part within its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.papers.splitting import parts, tokens


def test_a_short_paper_is_one_part_as_it_is() -> None:
    assert parts(" A paper. \n", 100) == [" A paper. \n"]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("one one\n\ntwo two\n\nthree", 6, ["one one\n\ntwo two", "three"]),
        ("A long one. A second. Third.", 5, ["A long one.", "A second.", "Third."]),
        ("word word word word", 4, ["word word", "word word"]),
        ("x" * 20, 4, ["x" * 12, "x" * 8]),
    ],
)
def test_it_is_divided_between_paragraphs_else_sentences_else_words_else_anywhere(
    text: str, limit: int, expected: list[str]
) -> None:
    assert parts(text, limit) == expected


@given(st.text(alphabet=st.sampled_from("ab .\n蜂é🐝"), max_size=400), st.integers(2, 40))
def test_nothing_is_lost_and_each_part_fits(text: str, limit: int) -> None:
    found = parts(text, limit)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(tokens(part) <= limit for part in found)


def test_scripts_of_many_bytes_count_for_more() -> None:
    assert (tokens("bee"), tokens("蜂蜂蜂")) == (1, 3)
