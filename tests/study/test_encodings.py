import json

import numpy as np
import pytest

from hilum.errors import StudyError
from hilum.study.masks import read_masks
from hilum.study.open import understand


def test_palette_masks_become_one_target_an_index(tmp_path, save, picture, disc):
    for seed in range(3):
        mask = np.zeros((64, 80), np.uint8)
        mask[disc((64, 80), (20, 20), 9)] = 1
        if seed == 1:
            mask[disc((64, 80), (40, 60), 9)] = 2
        save(tmp_path / "images" / f"{seed}.png", picture(seed))
        save(tmp_path / "masks" / f"{seed}.png", mask, palette=[0, 0, 0, 128, 0, 0, 0, 128, 0])
    study = understand(tmp_path)
    assert study.targets == ("index-1", "index-2")
    assert study.exclusive
    assert any("without names" in finding.message for finding in study.findings)
    (tmp_path / "labels.json").write_text(json.dumps({"nerve": 1, "vessel": 2}))
    assert understand(tmp_path).targets == ("nerve", "vessel")
    (tmp_path / "labels.json").unlink()
    (tmp_path / "classes.txt").write_text("background\nnerve\nartery\n")
    assert understand(tmp_path).targets == ("nerve", "artery")


@pytest.fixture
def two_values(tmp_path, save, picture, disc):
    """A study whose masks hold the values 1 and 2."""
    mask = np.zeros((64, 80), np.uint8)
    mask[disc((64, 80), (20, 20), 9)], mask[disc((64, 80), (40, 60), 9)] = 1, 2
    for seed in range(3):
        save(tmp_path / "images" / f"{seed}.png", picture(seed))
        save(tmp_path / "masks" / f"{seed}.png", mask)
    return tmp_path, mask


def test_values_of_one_name_are_one_target(two_values):
    folder, mask = two_values
    (folder / "labels.json").write_text(json.dumps({"1": "tumour", "2": "tumour"}))
    study = understand(folder)
    assert study.targets == ("tumour",)
    masks, _ = read_masks(study.cases[0], study.targets, mask.shape)
    assert (masks[0] == (mask > 0)).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [("labels.json", '{"nerve": 1, "vessel": 2}'), ("classes.txt", "background\nnerve\nvessel\n")],
)
def test_names_are_read_behind_a_byte_order_mark(two_values, name, text):
    folder, _ = two_values
    (folder / name).write_text(text, encoding="utf-8-sig")
    assert understand(folder).targets == ("nerve", "vessel")


@pytest.mark.parametrize("content", [b"{1: 'nerve'}", '{"nerve": 1}'.encode("utf-16")])
def test_labels_that_are_no_json_are_told_of(two_values, content):
    folder, _ = two_values
    (folder / "labels.json").write_bytes(content)
    with pytest.raises(StudyError, match="is not JSON") as caught:
        understand(folder)
    assert '{"nerve": 1' in str(caught.value)
