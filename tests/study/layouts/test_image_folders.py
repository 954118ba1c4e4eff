import numpy as np
import pytest

from dicom_slices import write_slice
from hilum.errors import StudyError
from hilum.image.image import STRAIGHT, Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.study.masks import read_masks
from hilum.study.open import open_study, understand

SHAPE = (3, 12, 16)


def write_scan(folder, series="1.2.3"):
    """A scan as DICOM slices 0.dcm, 1.dcm, ... of a folder."""
    for z in range(SHAPE[0]):
        write_slice(folder / f"{z}.dcm", z, SHAPE[1:], (0.5, 0.5), series)


def write_mask(path):
    mask = np.zeros((1, *SHAPE), np.uint8)
    mask[:, 1, 2:6, 3:8] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Image(mask, Spacing((2.5, 0.5, 0.5), "mm"), geometry=STRAIGHT))


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_of_slices_is_one_image_with_its_mask(tmp_path, split):
    for name in ("1.2.840.7", "P2", "P3"):
        write_scan(tmp_path / "images" / split / name)
    for name in ("1.2.840.7", "P2"):
        write_mask(tmp_path / "masks" / split / f"{name}.nii.gz")
    study = open_study(tmp_path)
    assert [case.name for case in study.cases] == ["1.2.840.7", "P2"]
    assert [case.name for case in study.unannotated] == ["P3"]
    masks, _ = read_masks(study.cases[0], study.targets, SHAPE)
    assert masks.sum() == 20
    assert not any("not part of this layout" in finding.message for finding in study.findings)


@pytest.mark.parametrize("mask", ["P1", "P1/scan_of_P1"])
def test_folders_of_series_are_scans_named_by_their_mask(tmp_path, mask):
    for name in ("P1", "P2", "P10"):
        write_scan(tmp_path / "images" / name / f"scan_of_{name}", series=f"1.2.{name[1:]}")
        write_mask(tmp_path / "masks" / f"{mask.replace('P1', name)}.nii.gz")
    study = open_study(tmp_path)
    assert len(study.cases) == 3
    assert ["P1" in case.name for case in study.cases] == [True, False, True]
    assert [case.image.path.parts[len(tmp_path.parts) + 1] for case in study.cases] == ["P1", "P2", "P10"]
    masks, _ = read_masks(study.cases[0], study.targets, SHAPE)
    assert masks.sum() == 20


def test_slices_without_a_suffix_are_a_scan(tmp_path):
    for name in ("P1", "P2"):
        for z in range(SHAPE[0]):
            write_slice(tmp_path / "images" / name / f"IM{z:04}", z, SHAPE[1:], (0.5, 0.5), f"1.2.{name[1]}")
        write_mask(tmp_path / "masks" / f"{name}.nii.gz")
    study = open_study(tmp_path)
    assert [case.name for case in study.cases] == ["P1", "P2"]
    assert study.findings == ()


def test_slices_with_masks_of_their_own_stay_images(tmp_path, save, disc):
    write_scan(tmp_path / "images" / "P1")
    for z in range(SHAPE[0]):
        save(tmp_path / "masks" / "P1" / f"{z}.png", disc(SHAPE[1:], (6, 8), 3).astype(np.uint8) * 255)
    assert [case.name for case in understand(tmp_path).cases] == ["0", "1", "2"]


def test_scans_under_other_names_are_to_be_listed(tmp_path):
    write_scan(tmp_path / "images" / "P1")
    write_mask(tmp_path / "masks" / "lung_of_P1.nii.gz")
    with pytest.raises(StudyError, match=r"`image,TARGET`.*`images/P1,masks/lung_of_P1\.nii\.gz`"):
        understand(tmp_path)
    (tmp_path / "study.csv").write_text("image,Lung\nimages/P1,masks/lung_of_P1.nii.gz\n")
    study = open_study(tmp_path)
    assert study.targets == ("Lung",)
    assert study.findings == ()


def test_images_may_have_a_word_where_masks_have_one(pairs, tmp_path):
    root = pairs(["X_img", "Y_img"], root=tmp_path / "s")
    for name in "XY":
        (root / "masks" / f"{name}_img.png").rename(root / "masks" / f"{name}_mask.png")
    assert [case.name for case in understand(root).cases] == ["X", "Y"]


def test_masks_named_as_their_images_keep_the_word(pairs):
    assert [case.name for case in understand(pairs(["X_img", "Y_raw"])).cases] == ["X_img", "Y_raw"]
    study = understand(pairs(["X_img", "Y_raw"], suffix="_mask"))
    assert [case.name for case in study.cases] == ["X_img", "Y_raw"]


def test_two_folders_of_masks_are_two_targets(pairs):
    root = pairs(["X", "Y"])
    pairs(["X", "Y"], root=root, masks="GT", radius=6)
    study = understand(root)
    assert sorted(study.targets) == ["GT", "masks"]
    assert study.findings == ()


def test_folders_of_masks_with_other_images_are_one_target(pairs):
    root = pairs(["X", "Y"], images="train/images", masks="train/masks")
    pairs(["Z"], root=root, images="test/images", masks="test/labels")
    assert understand(root).targets == ("target",)
