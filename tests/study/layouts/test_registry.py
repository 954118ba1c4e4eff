"""Every layout on disk: the registry sees the right one, with the right cases, splits and targets."""

import json

import numpy as np
import pytest

from hilum.errors import StudyError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.study.layouts.registry import LAYOUTS
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import open_study, understand
from hilum.study.study import Mark


@pytest.fixture
def volume():
    from hilum.image.volume import write_volume

    def make(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        geometry = Geometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        write_volume(path, Image(array[None], Spacing((2.0, 1.0, 1.0), "mm"), geometry=geometry))

    return make


def names(study):
    return [case.name for case in study.cases]


def test_images_and_masks(pairs):
    study = understand(pairs(["1_1", "1_2", "2_1"], suffix="_mask"))
    assert study.layout == "folders of images and of masks"
    assert names(study) == ["1_1", "1_2", "2_1"]
    assert study.targets == ("target",)
    assert {case.group for case in study.cases} == {"1", "2"}
    assert {case.split for case in study.cases} == {None}


@pytest.mark.parametrize("inside", [True, False])
def test_given_splits_are_kept(tmp_path, pairs, inside):
    for split, names_of in (("train", ["a", "b"]), ("validation", ["c"]), ("test", ["a"])):
        around = {"images": f"images/{split}", "masks": f"labels/{split}"}
        beside = {"images": f"{split}/images", "masks": f"{split}/labels"}
        pairs(names_of, root=tmp_path / "s", **(around if inside else beside))
    study = understand(tmp_path / "s")
    assert sorted(case.split for case in study.cases) == ["test", "train", "train", "val"]
    assert len(set(names(study))) == 4


def test_folder_inside_masks_names_the_target(tmp_path, pairs):
    pairs(["a", "b"], root=tmp_path / "s", masks="masks/nerve")
    pairs(["a", "b"], root=tmp_path / "s", masks="masks/vessel", radius=5)
    study = understand(tmp_path / "s")
    assert study.targets == ("nerve", "vessel")
    assert not study.exclusive


def test_siblings_with_scale_and_unpaired_files(tmp_path, picture, save, disc):
    root = tmp_path / "lung"
    for seed, name in enumerate(["12_KO_1", "12_KO_2", "6_WT_1"]):
        save(root / "train" / "Original_0.2" / f"{name}.jpg", picture(seed))
        for target in ("Parenchyma", "Inflammation"):
            mask = np.stack([disc((64, 80), (30, 40), 20)] * 3, -1).astype(np.uint8) * 255
            save(root / "train" / f"{target}_0.2" / f"{name}.jpg", mask)
    save(root / "train" / "Inflammation_0.2" / "36_KO_1.jpg", mask)
    save(root / "pred" / "Original_0.2" / "36_KO_1.jpg", picture(9))
    study = understand(root)
    assert study.layout == "sibling folders, images in Original_0.2"
    assert set(study.targets) == {"Parenchyma", "Inflammation"}
    assert study.groups == ("12", "6")
    severities = {finding.severity: finding.message for finding in study.findings}
    assert "36_KO_1" in severities["warning"]
    assert "without an image" in severities["warning"]
    assert "pred/Original_0.2/36_KO_1.jpg" in severities["note"]


def test_siblings_are_told_by_their_pixels_where_no_name_says_so(tmp_path, picture, save, disc):
    for seed in range(4):
        save(tmp_path / "stained" / f"{seed}.png", picture(seed))
        save(tmp_path / "tumour" / f"{seed}.png", disc((64, 80)).astype(np.uint8))
    assert understand(tmp_path).targets == ("tumour",)


def test_masks_beside_their_images_with_parts(tmp_path, picture, save, disc):
    save(tmp_path / "b (1).png", picture(1))
    save(tmp_path / "b (1)_mask.png", disc((64, 80), (20, 20), 8).astype(np.uint8) * 255)
    save(tmp_path / "b (1)_mask_1.png", disc((64, 80), (40, 60), 8).astype(np.uint8) * 255)
    study = open_study(tmp_path)
    masks, annotated = read_masks(study.cases[0], study.targets, (64, 80))
    assert annotated.all()
    assert masks[0, 20, 20]
    assert masks[0, 40, 60]
    assert names(study) == ["b (1)"]


def test_kaggle_ultrasound(tmp_path, picture, save, disc):
    for seed, name in enumerate(["1_1", "1_2", "2_1"]):
        save(tmp_path / "raw" / "train" / f"{name}.tif", picture(seed, grey=True))
        save(tmp_path / "raw" / "train" / f"{name}_mask.tif", disc((64, 80)).astype(np.uint8) * 255)
    save(tmp_path / "raw" / "test" / "1.tif", picture(7, grey=True))
    study = open_study(tmp_path)
    assert study.groups == ("1", "2")
    assert any("test/1.tif" in finding.message for finding in study.findings if finding.severity == "note")


@pytest.mark.parametrize("held", [(), (1,), (0, 4)])
def test_cases_with_the_ignore_label_of_nnunet_are_refused_or_left_out(tmp_path, volume, held):
    labels = {"background": 0, "liver": 1, "ignore": 2}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    for number in range(5):
        mask = np.zeros((2, 8, 8), np.uint8)
        mask[:, :4] = 1
        mask[0, 6:] = 2 if number in held else 0
        volume(tmp_path / "imagesTr" / f"c_{number}_0000.nii.gz", np.ones((2, 8, 8), np.int16))
        volume(tmp_path / "labelsTr" / f"c_{number}.nii.gz", mask)
    study = understand(tmp_path)
    assert study.targets == ("liver",)
    told = [finding for finding in study.findings if "'ignore' (2)" in finding.message]
    assert [(one.severity, one.cases) for one in told] == [
        ("error", tuple(f"c_{number}" for number in held))
    ] * bool(held)
    assert names(open_study(tmp_path, skip_bad=True)) == [f"c_{n}" for n in range(5) if n not in held]


def test_nnunet_with_channels_and_regions(tmp_path, volume):
    rng = np.random.default_rng(0)
    for case in ("a_001", "a_002"):
        for channel in range(2):
            volume(
                tmp_path / "imagesTr" / f"{case}_{channel:04d}.nii.gz",
                rng.random((4, 8, 10)).astype(np.float32),
            )
        label = np.zeros((4, 8, 10), np.uint8)
        label[1, 2:4, 2:4], label[2, 2:4, 2:4] = 1, 2
        volume(tmp_path / "labelsTr" / f"{case}.nii.gz", label)
    volume(tmp_path / "imagesTs" / "a_003_0000.nii.gz", label.astype(np.float32))
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    described = json.dumps({"labels": labels, "file_ending": ".nii.gz"})
    (tmp_path / "dataset.json").write_text(described, encoding="utf-8-sig")
    study = open_study(tmp_path)
    assert study.layout == "nnU-Net raw"
    assert study.targets == ("whole", "core")
    assert [case.name for case in study.unannotated] == ["a_003"]
    image = read_case_image(study.cases[0])
    assert image.array.shape == (2, 4, 8, 10)
    masks, _ = read_masks(study.cases[0], study.targets, image.shape)
    assert masks.sum(axis=(1, 2, 3)).tolist() == [8, 4]


def test_medmnist(tmp_path, picture):
    arrays = {}
    for split, number in (("train", 6), ("val", 3), ("test", 3)):
        arrays[f"{split}_images"] = np.stack([picture(seed, (28, 28), grey=True) for seed in range(number)])
        arrays[f"{split}_labels"] = (np.arange(number) % 2)[:, None].astype(np.uint8)
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    study = understand(tmp_path)
    assert study.classes == ("normal", "pneumonia")
    assert [case.split for case in study.cases].count("val") == 3
    assert read_case_image(study.cases[1]).array.shape == (1, 28, 28)
    assert (read_case_image(study.cases[1]).array[0] == arrays["train_images"][1]).all()
    assert understand(tmp_path / "pneumoniamnist.npz").classes == study.classes


def test_class_folders(tmp_path, picture, save):
    for split in ("train", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            for seed in range(3):
                save(tmp_path / split / label / f"{seed}.jpeg", picture(seed + (label == "NORMAL") * 10))
    study = understand(tmp_path)
    assert study.classes == ("NORMAL", "PNEUMONIA")
    assert study.exclusive
    assert names(study)[0] == "test/NORMAL/0"
    assert study.cases[0].labels == {"NORMAL": 1.0, "PNEUMONIA": 0.0}


def test_equal_names_in_class_folders_are_not_masks(tmp_path, picture, save):
    for label in ("cat", "dog"):
        for seed in range(4):
            save(tmp_path / label / f"{seed:04d}.png", picture(seed + 10 * (label == "cat")))
    assert understand(tmp_path).classes == ("cat", "dog")


def test_one_class_only_is_refused(tmp_path, picture, save):
    save(tmp_path / "NORMAL" / "1.png", picture(1))
    with pytest.raises(StudyError, match="one class only"):
        understand(tmp_path)


def test_several_readers(tmp_path, picture, save, disc):
    nodule = tmp_path / "LIDC-0001" / "nodule-0"
    for patient in ("LIDC-0001", "LIDC-0002"):
        nodule = tmp_path / patient / "nodule-0"
        save(nodule / "images" / "slice-0.png", picture(1, (32, 32), grey=True))
        for reader, radius in enumerate((3, 6, 9)):
            save(
                nodule / f"mask-{reader}" / "slice-0.png",
                disc((32, 32), (16, 16), radius).astype(np.uint8) * 255,
            )
    study = open_study(tmp_path)
    assert names(study) == ["LIDC-0001/nodule-0/slice-0", "LIDC-0002/nodule-0/slice-0"]
    assert study.groups == ("LIDC-0001", "LIDC-0002")
    masks, _ = read_masks(study.cases[0], ("nodule",), (32, 32))
    assert (masks[0] == disc((32, 32), (16, 16), 6)).all()


def test_volumes_with_marks(tmp_path, volume):
    for name in ("1.3.6.1", "1.3.6.2"):
        volume(tmp_path / "subset0" / f"{name}.mhd", np.zeros((4, 8, 8), np.int16))
    rows = "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3.6.1,1,2,3,5.5\n1.3.6.9,1,2,3,4\n"
    (tmp_path / "annotations.csv").write_text(rows)
    study = understand(tmp_path)
    assert names(study) == ["1.3.6.1", "1.3.6.2"]
    assert study.cases[0].marks[0].centre == (1.0, 2.0, 3.0)
    assert study.cases[0].marks[0].diameter_mm == 5.5
    assert study.cases[1].marks == ()
    assert any("1.3.6.9" in finding.message for finding in study.findings)
    (tmp_path / "annotations.csv").write_text(rows + "1.3.6.1,nan,2,3,4\n")
    with pytest.raises(StudyError, match="line 4"):
        understand(tmp_path)


def test_marks_that_a_spreadsheet_saved(tmp_path, volume):
    volume(tmp_path / "subset0" / "1.2.mhd", np.zeros((4, 8, 8), np.int16))
    (tmp_path / "annotations.csv").write_text(
        "SeriesUID;CoordX;CoordY;CoordZ;Diameter_mm\n1.2;1,5;2;3;4,5\n", encoding="utf-8-sig"
    )
    excluded = "seriesuid\tcoordX\tcoordY\tcoordZ\tdiameter\n1.2\t3\t2\t1\t-1\n"
    (tmp_path / "annotations_excluded.csv").write_text(excluded)
    (case,) = understand(tmp_path).cases
    assert case.marks == (Mark((1.5, 2.0, 3.0), 4.5), Mark((3.0, 2.0, 1.0), -1.0, "excluded"))


def test_unknown_folder_says_what_is_there_and_what_is_known(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(StudyError) as error:
        understand(tmp_path)
    assert "1 x .txt" in str(error.value)
    assert all(layout.line in str(error.value) for layout in LAYOUTS)


def test_images_alone_are_no_study(tmp_path, picture, save):
    save(tmp_path / "a.png", picture(1))
    with pytest.raises(StudyError, match="no masks, marks or labels"):
        understand(tmp_path)


def test_layouts_have_different_names_and_one_line_each():
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    assert all("\n" not in layout.line for layout in LAYOUTS)


def test_a_mark_outside_its_volume_is_named(tmp_path, volume):
    volume(tmp_path / "subset0" / "1.2.mhd", np.zeros((4, 8, 8), np.int16))
    header = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    (tmp_path / "annotations.csv").write_text(header + "1.2,7,7,6,3\n")
    assert open_study(tmp_path).cases[0].marks
    (tmp_path / "annotations.csv").write_text(header + "1.2,7,7,6,3\n1.2,9,2,3,4\n")
    with pytest.raises(StudyError, match=r"\(9, 2, 3\) mm lies outside"):
        open_study(tmp_path)


def test_a_zip_is_not_guessed_about(tmp_path, volume):
    (tmp_path / "scan.zip").write_bytes(b"PK")
    volume(tmp_path / "nodule_mask" / "scan_1.nii.gz", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(StudyError, match=r"scan\.zip.*scan_1\.nii\.gz.*not known"):
        understand(tmp_path)


def test_one_folder_a_case(tmp_path, picture, save, disc):
    for number in range(3):
        save(tmp_path / f"P{number}" / "image.png", picture(number))
        save(tmp_path / f"P{number}" / "mask.png", disc((64, 80)).astype(np.uint8) * 255)
    study = open_study(tmp_path)
    assert names(study) == ["P0", "P1", "P2"]
    assert study.targets == ("target",)


def test_masks_under_other_names_get_a_hint(tmp_path, picture, save, disc):
    for number in range(3):
        save(tmp_path / "images" / f"img_{number}.png", picture(number))
        save(tmp_path / "masks" / f"gt_{number}.png", disc((64, 80)).astype(np.uint8) * 255)
    with pytest.raises(StudyError, match="no files of the same name"):
        understand(tmp_path)
