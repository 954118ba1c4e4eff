"""Class folders: which of several folders around an image is its class."""

import pytest

from hilum.errors import StudyError
from hilum.study.open import understand


@pytest.fixture
def laid(tmp_path, picture, save):
    """A folder of images under these paths, each another picture."""

    def make(*paths):
        for seed, path in enumerate(paths):
            save(tmp_path / "study" / path, picture(seed, grey=True))
        return tmp_path / "study"

    return make


def crossed(*outer):
    """Four images of `normal` and `tb` in each outer folder."""
    return [
        f"{folder}/{name}/{number}{at}.png"
        for at, folder in enumerate(outer)
        for name in ("normal", "tb")
        for number in range(2)
    ]


def warnings(study):
    return [finding.message for finding in study.findings if finding.severity == "warning"]


@pytest.mark.parametrize(
    "outer", [("fold0", "fold1"), ("hospitalA", "hospitalB"), ("40X", "100X"), ("patient_3", "patient_4")]
)
def test_folders_in_folds_persons_and_sites_are_the_classes(laid, outer):
    study = understand(laid(*crossed(*outer)))
    assert study.classes == ("normal", "tb")
    assert {case.image.path.stem for case in study.cases if case.labels["tb"] == 1} == {
        "00",
        "10",
        "01",
        "11",
    }
    assert not warnings(study)


def test_patients_stay_together_and_magnifications_are_no_patients(laid):
    assert set(understand(laid(*crossed("patient_3", "patient_4"))).groups) == {"patient_3", "patient_4"}


def test_magnifications_are_no_groups(laid):
    assert len(understand(laid(*crossed("40X", "100X"))).groups) == 8


def test_folders_that_every_class_holds_may_be_the_classes(laid):
    study = understand(laid(*crossed("berlin", "lund")))
    assert study.classes == ("berlin", "lund")
    assert any("holds the same folders normal, tb" in words for words in warnings(study))


def test_numbered_patients_in_every_class_are_no_classes(laid):
    paths = [f"{name}/{who}/{at}.png" for name in ("normal", "tb") for who in "123" for at in "ab"]
    study = understand(laid(*paths))
    assert study.classes == ("normal", "tb")
    assert not warnings(study)


def test_classes_named_for_persons_are_doubted(laid):
    study = understand(laid(*(f"patient{who}/{at}.png" for who in range(3) for at in range(2))))
    (words,) = warnings(study)
    assert "patient0, patient1, patient2 are named for a person" in words


def test_series_named_by_their_identifiers_are_no_classes(laid):
    with pytest.raises(StudyError, match="no annotated images"):
        understand(laid(*(f"2.25.1635774142{uid}/{at}.png" for uid in range(2) for at in range(2))))
