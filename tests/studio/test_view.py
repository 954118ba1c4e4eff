import numpy as np
import pytest

pytest.importorskip("nicegui")

from dicom_slices import write_slice
from hilum.studio.journal import Stroke
from hilum.studio.labels import give_label
from hilum.studio.places import LooseImagesError, gather_images, place_of
from hilum.studio.ranking import unannotated
from hilum.studio.spans import spans_of
from hilum.studio.view import look
from hilum.study.masks import read_masks
from hilum.study.open import open_study

SHAPE = (5, 12, 16)


@pytest.mark.parametrize("inside", ["", "patient"])
def test_the_slices_of_a_scan_are_one_volume_that_can_be_painted(tmp_path, desk_of, inside):
    folder = tmp_path / "scan"
    for z in range(SHAPE[0]):
        write_slice(folder / inside / f"{z}.dcm", z, SHAPE[1:])
    desk = desk_of(folder)
    (case,) = desk.view.cases
    assert case.name == (inside or "scan")
    assert desk.images.get(case.name).shape == SHAPE
    assert desk.images.get(case.name).array[0, 3, 0, 0] == 300 - 1024
    with pytest.raises(LooseImagesError, match="one file"):
        place_of(desk.view, case, "Lung")
    assert gather_images(desk.view) == 1
    desk.refresh()
    (case,) = desk.view.cases
    assert case.image.path.name.endswith(".nii.gz")
    mask = np.zeros(SHAPE, bool)
    mask[2, 3:6, 4:9] = True
    desk.targets.append("Lung")
    desk.easel.stroke(case.name, "Lung", Stroke(spans_of(mask[2]), axis=0, index=2, key="1"), 0)
    desk.easel.save_all()
    (annotated,) = open_study(folder).cases
    assert (read_masks(annotated, ["Lung"], SHAPE)[0][0] == mask).all()
    assert len(list(folder.rglob("*.dcm"))) == SHAPE[0], "the slices stay"


def test_slices_of_different_scans_stay_apart(tmp_path):
    for z in range(3):
        write_slice(tmp_path / f"s/{z}.dcm", z, SHAPE[1:], series=f"1.2.{z + 1}")
    assert len(look(tmp_path / "s").cases) == 3


def test_an_archive_is_told_of_and_not_looked_into(tmp_path, write):
    folder = write(tmp_path / "s", {"a.png": 0})
    (folder / "scan.zip").write_bytes(b"")
    assert "scan.zip" in look(folder).findings[-1].message


NAMESAKES = ["train/images/a.png", "test/images/a.png", "train/images/b.png"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (NAMESAKES, {"train/a", "test/a", "train/b"}),
        (["images/a.png", "images/a.tif", "images/b.png"], {"a", "a'", "b"}),
        (["images/a_image.png", "images/b_image.png"], {"a_image", "b_image"}),
    ],
)
def test_painting_gives_no_image_another_name(tmp_path, write, desk_of, disc, files, names):
    folder = write(tmp_path / "s", {name: at for at, name in enumerate(files)})
    desk = desk_of(folder)
    assert set(desk.view.by_name) == names
    images = {case.name: case.image for case in desk.view.cases}
    desk.targets += ["Nerve", "Vessel"]
    mask = disc((40, 56), (20, 20), 6)
    for name in sorted(names - {"a'"}):
        for target in desk.targets:
            desk.easel.stroke(name, target, Stroke(spans_of(mask), key="1"), 0)
        assert len(desk.easel.save_all()) == 2
        desk.easel.stroke(name, "Nerve", Stroke(spans_of(mask[::-1]), key="2"), 1)
        desk.easel.save_all()
        assert {case.name: case.image for case in desk.view.cases} == images
        assert {case.name: case.image for case in look(folder).cases} == images, "as the worker calls them"
    assert {case.name for case in open_study(folder).cases} == names - {"a'"}


def test_a_label_gives_no_image_another_name(tmp_path, write, desk_of):
    desk = desk_of(write(tmp_path / "s", {name: at for at, name in enumerate(NAMESAKES)}))
    names = set(desk.view.by_name)
    for name in sorted(names):
        give_label(desk.view, desk.view.by_name[name], "ill")
        desk.refresh()
        assert set(desk.view.by_name) == names
        assert desk.view.by_name[name].labels == {"ill": 1}


def test_images_called_for_their_masks_keep_their_names_in_one_studio(tmp_path, write, desk_of, disc):
    folder = write(tmp_path / "s", {"images/a_image.png": 0, "images/b_image.png": 1})
    desk = desk_of(folder)
    write(folder, {"masks/a.png": disc((40, 56), (20, 20), 6)})
    desk.refresh()
    found = {case.name: list(case.masks) for case in desk.view.cases}
    assert found == {"a_image": ["target"], "b_image": []}
    assert [case.name for case in desk.view.study.cases] == ["a_image"]
    assert {case.name for case in look(folder).cases} == {"a", "b"}, "one rule for both"


@pytest.mark.parametrize(
    ("image", "mask", "target"),
    [
        ("{}/image.png", "{}/mask.png", "target"),
        ("{0}/{0}.png", "{0}/{0}_mask.png", "target"),
        ("images/{}/x.png", "masks/{}/x.png", "target"),
        ("images/{}/x.png", "masks/Nerve/{}/x.png", "Nerve"),
        ("images/{}/x.png", "masks/{}/Nerve/x.png", "Nerve"),
    ],
)
def test_every_image_of_a_folder_a_case_is_shown(tmp_path, write, desk_of, disc, image, mask, target):
    files = {image.format(name): at for at, name in enumerate("ABC")}
    folder = write(tmp_path / "s", files | {mask.format(name): disc((40, 56), (20, 20), 6) for name in "AC"})
    desk = desk_of(folder)
    assert {case.image.path.relative_to(folder).as_posix() for case in desk.view.cases} == set(files)
    (case,) = unannotated(desk.view)
    assert "B" in case.name
    desk.easel.stroke(case.name, target, Stroke(spans_of(disc((40, 56), (9, 9), 4)), key="1"), 0)
    assert desk.easel.save_all() == [folder / mask.format("B")]
    assert {found.name for found in open_study(folder).cases} == set(desk.view.by_name)
    assert not unannotated(desk.view)


def test_cases_of_nnunet_without_labels_are_shown_with_their_channels(tmp_path, write, desk_of, disc):
    images = ("imagesTr/a", "imagesTr/b", "imagesTs/c")
    files = {f"{name}_000{channel}.png": channel for name in images for channel in (0, 1)}
    folder = write(tmp_path / "s", files | {"labelsTr/a.png": disc((40, 56), (20, 20), 6)})
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "nerve": 255}}')
    desk = desk_of(folder)
    assert [(case.name, len(case.channels)) for case in desk.view.cases] == [("a", 1), ("b", 1), ("c", 1)]
    desk.easel.stroke("c", "nerve", Stroke(spans_of(disc((40, 56), (9, 9), 4)), key="1"), 0)
    assert desk.easel.save_all() == [folder / "labelsTs/c.png"]
    assert desk.view.by_name["c"].masks


def test_folders_beside_the_images_are_no_images(tmp_path, write, disc):
    mask = disc((40, 56), (20, 20), 6)
    files = {"train/images/a.png": 0, "test/images/b.png": 1, "train/overlay/a.png": 2}
    folder = write(tmp_path / "s", files | {"train/masks/a.png": mask, "test/masks/b.png": mask})
    assert {case.name for case in look(folder).cases} == {"a", "b"}


def test_scans_are_shown_once_with_a_mask_or_without(tmp_path, write, disc):
    from hilum.image.writers import write_mask

    folder = tmp_path / "s"
    for name in ("P1", "P2"):
        for z in range(SHAPE[0]):
            write_slice(folder / f"images/{name}/scan/{z}.dcm", z, SHAPE[1:], series=f"1.2.{name[1]}")
    write_mask(folder / "masks/P1.nii.gz", np.ones(SHAPE, bool))
    found = look(folder).cases
    assert sorted(case.image.path.relative_to(folder).parts[1] for case in found) == ["P1", "P2"]
