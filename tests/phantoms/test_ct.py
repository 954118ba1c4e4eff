"""Chest CT: a LUNA folder that a reader of volumes understands, with nodules where the table says."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from hilum.phantoms.ct import Scan, draw_scan
from hilum.phantoms.drawing import generator
from hilum.phantoms.make import make_phantom

SHAPE = (60, 110, 110)


def at(scan: Scan, point: tuple[float, float, float]) -> tuple[int, int, int]:
    pairs = zip(point, scan.origin, scan.spacing[::-1], strict=True)
    x, y, z = (round((world - origin) / step) for world, origin, step in pairs)
    return z, y, x


@pytest.fixture(scope="module")
def scans() -> list[Scan]:
    return [draw_scan(generator(0, number), SHAPE, number) for number in range(5)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phantom("ct", tmp_path_factory.mktemp("phantom") / "study", 3, size=(40, 72, 72))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_layout_is_that_of_luna(study: Path) -> None:
    headers = sorted(study.glob("subset*/*.mhd"))
    assert len(headers) == 3
    assert {path.parent.name for path in headers} == {"subset0", "subset1"}
    assert all(path.with_suffix(".raw").is_file() for path in headers)
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{37}", path.stem) for path in headers)
    assert list(rows(study / "annotations.csv")[0]) == [
        "seriesuid",
        "coordX",
        "coordY",
        "coordZ",
        "diameter_mm",
    ]
    assert list(rows(study / "candidates.csv")[0]) == ["seriesuid", "coordX", "coordY", "coordZ", "class"]


def test_marks_lie_on_nodules_in_world_coordinates(study: Path) -> None:
    marks = rows(study / "annotations.csv")
    assert len(marks) >= 4
    for mark in marks:
        image = SimpleITK.ReadImage(str(next(study.glob(f"subset*/{mark['seriesuid']}.mhd"))))
        point = [float(mark[f"coord{axis}"]) for axis in "XYZ"]
        assert image.GetOrigin() != (0, 0, 0)
        assert image.GetPixelID() == SimpleITK.sitkInt16
        assert image.GetPixel(image.TransformPhysicalPointToIndex(point)) > -650
        assert 4 <= float(mark["diameter_mm"]) <= 25


def test_candidates_hold_all_nodules_and_more_decoys(study: Path) -> None:
    kinds = [row["class"] for row in rows(study / "candidates.csv")]
    assert kinds.count("1") == len(rows(study / "annotations.csv"))
    assert kinds.count("0") > kinds.count("1")


def test_nodules_are_dense_and_in_the_lungs(scans: list[Scan]) -> None:
    kinds = set()
    for scan in scans:
        for nodule in scan.nodules:
            kinds.add(nodule.kind)
            index = at(scan, nodule.centre)
            assert scan.lungs[index]
            value = scan.voxels[index]
            assert -600 < value < -300 if nodule.kind == "ground glass" else -150 < value < 150
            assert 4 <= nodule.diameter <= 20
    assert {"solid", "wall", "vessel", "ground glass"} <= kinds


def test_nodules_at_the_wall_touch_it(scans: list[Scan]) -> None:
    for scan in scans:
        depth = ndimage.distance_transform_edt(scan.lungs, scan.spacing)
        for nodule in scan.nodules:
            near = float(depth[at(scan, nodule.centre)])
            if nodule.kind == "wall":
                assert near <= nodule.diameter / 2 + 1.5 * max(scan.spacing)
            elif nodule.kind == "solid":
                assert near > nodule.diameter / 2


def test_one_of_five_scans_has_no_nodule(scans: list[Scan]) -> None:
    assert [len(scan.nodules) == 0 for scan in scans] == [False, False, False, False, True]


def test_lungs_are_two_of_plausible_size_and_density(scans: list[Scan]) -> None:
    for scan in scans:
        litres = scan.lungs.sum() * np.prod(scan.spacing) / 1e6
        assert 2 < litres < 6
        assert -900 < np.median(scan.voxels[scan.lungs]) < -780
        labels, _ = ndimage.label(scan.lungs)
        biggest = np.sort(np.bincount(labels.ravel())[1:])[::-1]
        assert biggest[1] > 0.5 * biggest[0]


def test_padding_outside_the_circle_varies(scans: list[Scan]) -> None:
    assert {int(scan.voxels[0, 0, 0]) for scan in scans} == {-2000, -1000, -2048, -3024}


def test_decoys_are_vessels_away_from_nodules(scans: list[Scan]) -> None:
    for scan in scans:
        assert scan.decoys
        values = [scan.voxels[at(scan, decoy)] for decoy in scan.decoys]
        assert np.median(values) > -700
        for nodule in scan.nodules:
            gaps = np.linalg.norm(np.subtract(scan.decoys, nodule.centre), axis=1)
            assert gaps.min() > nodule.diameter / 2


def test_geometry_does_not_depend_on_the_voxels() -> None:
    coarse, fine = draw_scan(generator(7), (40, 72, 72)), draw_scan(generator(7), (60, 110, 110))
    volumes = [scan.lungs.sum() * np.prod(scan.spacing) for scan in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.12)
