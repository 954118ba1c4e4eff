import numpy as np
import pytest

pytest.importorskip("nicegui")

from dicom_slices import write_slice
from hilum.studio.journal import Stroke
from hilum.studio.places import LooseImagesError, gather_images, place_of
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
