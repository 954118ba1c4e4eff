import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.reporting.naming import cut, longest_line, told_apart, wrapped


@given(st.text(max_size=60), st.integers(1, 30))
def test_a_cut_name_keeps_both_ends_and_its_length(name, most):
    short = cut(name, most)
    assert len(short) == min(len(name), most)
    if len(name) > most >= 3:
        assert "…" in short
        assert (short[0], short[-1]) == (name[0], name[-1])


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=90), st.integers(1, 20))
def test_wrapped_names_fit_their_lines(name, width):
    lines = wrapped(name, width).split("\n")
    assert len(lines) <= 3
    assert longest_line(lines) <= width


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("NORMAL", "NORMAL"),
        ("Parenchyma_left", "Parenchyma\nleft"),
        ("SevereInflammation", "Severe\nInflammation"),
        ("one two three four five six seven eight nine", "one two three\nfour …ix seven\neight nine"),
    ],
)
def test_names_break_between_words(name, shown):
    assert wrapped(name, 14) == shown


def test_names_that_read_alike_are_numbered():
    names = ["left lobe, upper part", "left lung, upper part", "heart"]
    assert told_apart(names, lambda name: cut(name, 9)) == ["left…part (1)", "left…part (2)", "heart"]
