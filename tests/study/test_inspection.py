import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from hilum.study.inspection import inspect, inspect_study
from hilum.study.open import understand
from hilum.study.survey import survey_study


def test_segmentation_in_words(pairs, save):
    root = pairs(["1_1", "1_2", "2_1"])
    save(root / "masks" / "1_2.png", np.zeros((64, 80), np.uint8))
    inspection = inspect(root)
    text = "\n".join(inspection.lines())
    assert "Cases: 3" in text
    assert "80 x 64 pixels" in text
    assert "unknown (px)" in text
    assert "Groups: 2 (guessed" in text
    assert "above 127" in text
    assert "target is empty in 1 case: 1_2" in text
    (row,) = inspection.targets
    assert (row.annotated, row.empty) == (3, 1)
    assert row.pixels == 2 * 441
    assert row.share == pytest.approx(row.pixels / (3 * 64 * 80))
    json.dumps(inspection.to_json())


def test_images_of_one_animal_are_a_warning_of_its_own(pairs):
    text = "\n".join(inspect(pairs(["7_1", "7_2", "7_3"])).lines())
    assert "WARNING: all 3 images belong to one group (7)" in text
    assert "--group-by" in text


def test_images_of_several_animals_are_none(pairs):
    assert "one group" not in "\n".join(inspect(pairs(["7_1", "7_2", "8_1"])).lines())


def test_bad_files_are_findings_not_failures(pairs):
    root = pairs(["a", "b", "c"])
    (root / "images" / "b.png").write_text("text")
    inspection = inspect(root)
    assert inspection.lines()[-1].startswith("ERROR")
    assert inspection.targets[0].annotated == 2


def test_classes_shapes_and_shortcuts(tmp_path, picture, save):
    for seed in range(8):
        save(tmp_path / "NORMAL" / f"n{seed}.png", picture(seed, (90 + seed, 100)))
    for seed in range(30):
        save(tmp_path / "PNEUMONIA" / f"p{seed}.png", picture(seed + 50, (50 + seed % 5, 60)))
    inspection = inspect(tmp_path)
    text = "\n".join(inspection.lines())
    assert "imbalance: NORMAL 8, PNEUMONIA 30" in text
    assert "WARNING: SHORTCUT: THE LABEL CAN BE TOLD" in text
    size = next(item for item in inspection.shortcuts if item.measure == "image size")
    assert size.auc == 0.0
    assert inspection.classes[0].largest == (97, 100)
    assert inspection.classes[1].smallest == (50, 60)
    json.dumps(inspection.to_json())


def test_no_shortcut_where_there_is_none(tmp_path, picture, save):
    for label in ("A", "B"):
        for seed in range(12):
            save(tmp_path / label / f"{label}{seed}.bmp", picture(seed * 2 + (label == "A")))
    assert not any(item.measure in ("image size", "file size") for item in inspect(tmp_path).shortcuts)


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "cases", "groups", "words"),
    [
        ("lung_flu", 14, 7, ["36_KO_FLU_1", "SevereInflammation is empty in 1 case: 6_WT_FLU_1", "overlap"]),
        ("us_nerve", 1246, 24, ["contradicting masks", "original_tif_samples/ (6)"]),
        ("us_regional", 204, 204, ["every image its own group", "index = 2", "without names", "0043 = 0077"]),
        ("ct_nodule_slices", 1130, 70, ["4 readers", "nodule"]),
        ("cxr_224", 1566, 1202, ["145 groups in more than one of the given splits", "byte-equal"]),
        ("cxr_full", 50, 50, ["SHORTCUT", "image size tells PNEUMONIA (AUC 0.01)"]),
        ("pneumoniamnist", 5856, 5856, ["train 4,708", "both sides of the given splits"]),
    ],
)
def test_real_studies_are_told_truly(data, folder, cases, groups, words):
    inspection = inspect(data / folder)
    text = "\n".join(inspection.lines())
    assert len(inspection.study.cases) == cases
    assert len(inspection.groups) == groups
    assert not any(finding.severity == "error" for finding in inspection.study.findings)
    for word in words:
        assert word in text


def test_a_huge_study_is_sampled_and_says_so(pairs):
    inspection = inspect(pairs([f"{number}" for number in range(20)]), limit_bytes=100)
    assert any(
        "8 cases of 20" in f.message or "7 cases of 20" in f.message for f in inspection.study.findings
    )
    assert len(inspection.study.cases) == 20
    assert inspection.targets[0].annotated < 20


def test_what_readers_had_to_decide_is_told_once_with_its_cases(tmp_path, picture):
    for label in ("A", "B"):
        (tmp_path / label).mkdir()
        for seed in range(4):
            frames = [Image.fromarray(picture(10 * seed + at + (label == "A"), grey=True)) for at in range(3)]
            frames[0].save(tmp_path / label / f"{label}{seed}.gif", save_all=True, append_images=frames[1:])
    inspection = inspect(tmp_path)
    (finding,) = [one for one in inspection.study.findings if "frames" in one.message]
    assert finding.severity == "note"
    assert finding.message == "the first of 3 frames, in 8 cases: A0, A1, A2, A3, B0, B1 and 2 more"
    assert len(finding.cases) == 8
    assert "NOTE: the first of 3 frames" in "\n".join(inspection.lines())


def test_many_different_notes_do_not_fill_pages(pairs):
    study = understand(pairs([f"{number}" for number in range(20)]))
    survey = survey_study(study)
    facts = {
        name: replace(seen, notes=("alpha left out", f"tilted by {name} mm"))
        for name, seen in survey.facts.items()
    }
    found = [one.message for one in inspect_study(study, replace(survey, facts=facts)).study.findings]
    assert sum("tilted by" in message for message in found) == 12
    assert any(message.startswith("alpha left out, in 20 cases") for message in found)
    assert any(message.startswith("9 further notes on reading 9 cases") for message in found)


def test_a_class_of_the_test_set_alone_is_an_error(tmp_path, picture, save):
    for number in range(4):
        save(tmp_path / "train" / "NORMAL" / f"n{number}.png", picture(number))
        save(tmp_path / "train" / "PNEUMONIA" / f"p{number}.png", picture(10 + number))
        save(tmp_path / "test" / "unlabelled" / f"u{number}.png", picture(20 + number))
    (finding,) = [found for found in inspect(tmp_path).study.findings if found.severity == "error"]
    assert "class unlabelled: all of its 4 images lie in test/, none to train on" in finding.message
    assert len(finding.cases) == 4


def test_colours_of_different_bit_depth_are_a_warning(pairs, save):
    root = pairs(["1_1", "2_1", "3_1"])
    colour = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    for name in ("1_1", "2_1", "3_1"):
        (root / "images" / f"{name}.png").unlink()
        deep = colour.astype(np.uint16) * 257 if name == "3_1" else colour
        tifffile.imwrite(root / "images" / f"{name}.tif", deep)
    text = "\n".join(inspect(root).lines())
    assert "WARNING: pixels of different bit depth: uint8 up to 254, uint16 up to 65278; 1 case" in text


def test_different_magnification_is_a_warning(pairs):
    root = pairs(["1_1", "2_1", "3_1"])
    for name, um in (("1_1", 0.5), ("2_1", 0.55), ("3_1", 1.0)):
        path = root / "images" / f"{name}.png"
        array = np.asarray(Image.open(path))
        path.unlink()
        size = (1e4 / um, 1e4 / um)
        tifffile.imwrite(root / "images" / f"{name}.tif", array, resolution=size, resolutionunit=3)
    text = "\n".join(inspect(root).lines())
    assert (
        "WARNING: different magnification: pixels of 0.5 to 1 µm; those of 1 case are the coarser: 3_1"
        in text
    )
