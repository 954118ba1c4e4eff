import io

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.study.duplicates import (
    contradiction_findings,
    duplicate_findings,
    find_contradictions,
    find_duplicates,
    together,
)
from hilum.study.open import understand
from hilum.study.survey import survey_study


def recompressed(array, quality):
    buffer = io.BytesIO()
    Pillow.fromarray(array).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(buffer))


def look(folder):
    study = understand(folder)
    facts = survey_study(study).facts
    return study, facts, find_duplicates(study, facts)


def test_bytes_jpeg_resize_and_contrast_are_found_and_others_are_not(tmp_path, picture, save):
    first = picture(0, (128, 160))
    small = np.asarray(Pillow.fromarray(first).resize((80, 64), Pillow.Resampling.BOX))
    dark = (first * 0.6 + 20).astype(np.uint8)
    copies = {"copy": first, "jpeg": recompressed(first, 40), "small": small, "dark": dark}
    save(tmp_path / "A" / "first.png", first)
    for name, array in copies.items():
        save(tmp_path / "B" / f"{name}.png", array)
    for seed in range(1, 8):
        save(tmp_path / "A" / f"other{seed}.png", picture(seed, (128, 160)))
    study, _, pairs = look(tmp_path)
    found = {pair.second for pair in pairs if pair.first == "first"} | {
        pair.first for pair in pairs if pair.second == "first"
    }
    assert found == set(copies)
    assert [pair.equal for pair in pairs if {pair.first, pair.second} == {"first", "copy"}] == [True]
    assert not any("other" in pair.first + pair.second for pair in pairs)
    assert any("different labels" in finding.message for finding in duplicate_findings(study, pairs))
    assert len(together(pairs)) == len(pairs)


def test_flat_images_are_not_near(tmp_path, save):
    for label in "AB":
        for value in (0, 40, 255):
            save(
                tmp_path / label / f"{label}{value}.png",
                np.full((32, 32), value, np.uint8) + (label == "B") * 0,
            )
    _, _, pairs = look(tmp_path)
    assert pairs
    assert all(pair.equal for pair in pairs)


def test_duplicates_across_given_splits_are_named(tmp_path, picture, save):
    for split, seeds in (("train", (0, 1, 2, 3)), ("test", (0, 5, 6, 7))):
        for seed in seeds:
            save(tmp_path / split / ("A" if seed % 2 else "B") / f"{split}{seed}.png", picture(seed))
    study, _, pairs = look(tmp_path)
    (finding,) = duplicate_findings(study, pairs)
    assert "both sides of the given splits" in finding.message
    assert set(finding.cases) == {"train0", "test0"}


@pytest.mark.parametrize(("centre", "contradict"), [((20, 20), True), ((40, 58), False)])
def test_contradicting_masks(tmp_path, picture, save, disc, centre, contradict):
    image = picture(0)
    for name, array in (("1_1", image), ("1_2", recompressed(image, 60)), ("2_1", picture(3))):
        save(tmp_path / "images" / f"{name}.png", array)
    for name, where in (("1_1", (40, 60)), ("1_2", centre), ("2_1", (40, 60))):
        save(tmp_path / "masks" / f"{name}.png", disc((64, 80), where, 12).astype(np.uint8) * 255)
    _, facts, pairs = look(tmp_path)
    found = find_contradictions(pairs, facts)
    assert bool(found) is contradict
    if contradict:
        assert {found[0].pair.first, found[0].pair.second} == {"1_1", "1_2"}
        assert "contradicting" in contradiction_findings(found)[0].message
