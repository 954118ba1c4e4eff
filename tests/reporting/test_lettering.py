import pytest

from hilum.reporting.lettering import font, shortened, text_size


@pytest.mark.parametrize("letter", "µ²³–×é…≥")
def test_units_and_signs_have_letters_of_their_own(letter):
    face = font(40)
    missing = bytes(face.getmask("\uffff"))
    assert bytes(face.getmask(letter)) != missing


def test_shortened_fits_and_keeps_both_ends():
    name = "person1234_bacteria_5678.jpeg"
    short = shortened(name, 14, 120)
    assert text_size(short, 14)[0] <= 120
    assert short.startswith("pers")
    assert short.endswith(".jpeg")
    assert "…" in short
    assert shortened("a.png", 14, 120) == "a.png"


def test_shortened_to_nothing_is_an_ellipsis():
    assert shortened("abcdef", 14, 1) == "…"
