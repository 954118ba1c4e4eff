"""Folders of one case each: as they are laid by challenges, and what looks like them and is not."""

import numpy as np
import pytest

from hilum.errors import StudyError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import open_study, understand

STRAIGHT = Geometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def volume(path, array):
    write_volume(path, Image(array[None], Spacing((2.0, 1.0, 1.0), "mm"), geometry=STRAIGHT))


@pytest.fixture
def nuclei(tmp_path, picture, save, disc):
    """As in the Data Science Bowl of 2018: one image a case, one file a nucleus."""
    root = tmp_path / "s"
    for seed, case in enumerate(("0a7e", "1b2f", "2c3d")):
        save(root / case / "images" / f"{case}.png", picture(seed))
        for nucleus in range(3):
            mask = disc((64, 80), (20, 20 + 20 * nucleus), 6).astype(np.uint8) * 255
            save(root / case / "masks" / f"{nucleus}ff{seed}.png", mask)
    return root


def test_masks_in_a_folder_beside_that_of_one_image_are_parts_of_one_target(nuclei):
    study = open_study(nuclei)
    assert study.layout == "one folder a case"
    assert [case.name for case in study.cases] == ["0a7e", "1b2f", "2c3d"]
    assert study.targets == ("target",)
    masks, _ = read_masks(study.cases[0], ["target"], (64, 80))
    assert masks.sum() == 3 * 113


def test_two_images_beside_one_folder_of_masks_are_no_classes(nuclei, picture, save):
    save(nuclei / "0a7e" / "images" / "another.png", picture(9))
    with pytest.raises(StudyError, match="hold no files of the same name"):
        understand(nuclei)


@pytest.fixture
def scans(tmp_path):
    """As in BraTS: channels of one scan and its labels in one folder a case; the last is not annotated."""
    for seed, case in enumerate(("b_001", "b_002", "b_003")):
        values = np.random.default_rng(seed).integers(0, 99, (4, 4, 8, 8)).astype(np.int16)
        for name, array in zip(("t2", "flair", "t1", "t1ce"), values, strict=True):
            volume(tmp_path / case / f"{case}_{name}.nii.gz", array)
        if case != "b_003":
            volume(tmp_path / case / f"{case}_seg.nii.gz", (values[0] > 50).astype(np.int16))
    return tmp_path


def test_channels_and_a_mask_in_one_folder_are_one_case(scans):
    study = open_study(scans)
    assert study.layout == "one folder a case, channels flair, t1, t1ce, t2"
    assert [case.name for case in study.cases] == ["b_001", "b_002"]
    assert [case.name for case in study.unannotated] == ["b_003"]
    image = read_case_image(study.cases[0])
    assert image.channels == 4
    masks, _ = read_masks(study.cases[0], study.targets, image.shape)
    assert np.array_equal(masks[0], image.array[3] > 50)
    assert len(study.unannotated[0].channels) == 3


def test_a_case_that_lacks_a_channel_is_not_taken_for_a_class(scans):
    (scans / "b_002" / "b_002_t1.nii.gz").unlink()
    with pytest.raises(StudyError, match=r"b_001_seg.nii.gz, .*b_002_seg.nii.gz are named as masks are"):
        understand(scans)


def cases_of_targets(root, picture, save, disc, names):
    for case in range(3):
        save(root / f"case{case}" / "image.png", picture(case))
        for at, name in enumerate(names):
            save(root / f"case{case}" / name, disc((64, 80), (20, 20 + 20 * at), 6).astype(np.uint8) * 255)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("stroma.png", "tumour.png"),
        ("mask_stroma.png", "mask_tumour.png"),
        ("stroma_mask.png", "tumour_mask.png"),
    ],
)
def test_files_named_by_targets_beside_an_image_in_every_folder(tmp_path, picture, save, disc, names):
    study = open_study(cases_of_targets(tmp_path / "s", picture, save, disc, names))
    assert study.layout == "one folder a case"
    assert study.targets == ("stroma", "tumour")
    masks, _ = read_masks(study.cases[0], study.targets, (64, 80))
    assert [int(mask.sum()) for mask in masks] == [113, 113]
    assert masks[0, 20, 20]
    assert masks[1, 20, 40]


def test_pictures_that_one_folder_holds_alone_are_no_targets(tmp_path, picture, save):
    for name in ("normal/image.png", "normal/2.png", "tb/image.png", "tb/4.png"):
        save(tmp_path / "s" / name, picture(len(name)))
    assert understand(tmp_path / "s").layout == "class folders"
