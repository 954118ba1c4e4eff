"""Images of another magnification than those trained on."""

import numpy as np
import pytest
import tifffile

import hilum
from hilum.image.spacing import Spacing
from hilum.study.magnification import told_unlike
from hilum.study.study import Case, Source


def tiff(path, um):
    array = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    size = (1e4 / um, 1e4 / um) if um else None
    tifffile.imwrite(path, array, resolution=size, resolutionunit=3 if um else None)
    return Case(path.stem, Source(path))


@pytest.fixture
def cases(tmp_path):
    return [
        tiff(tmp_path / f"{name}.tif", um) for name, um in (("a", 0.5), ("b", 0.6), ("c", 1.0), ("d", None))
    ]


def test_pixels_a_quarter_beyond_those_known_are_told(cases):
    words = told_unlike(cases, (0.5, 0.5))
    assert words.startswith(
        "1 image of another magnification than those trained on (0.5 µm a pixel), such as c"
    )
    assert told_unlike(cases, (0.5, 0.9)) == ""
    assert "such as a (0.5 µm)" in told_unlike(cases, (0.9, 1.0))
    assert told_unlike(cases[3:], (9.0, 9.0)) == ""


def test_the_spacing_that_a_case_is_given_counts(cases):
    given = [Case("c", cases[2].image, spacing=Spacing((0.5, 0.5), "um"))]
    assert told_unlike(given, (0.5, 0.5)) == ""


@pytest.mark.parametrize(("setting", "warned"), [((), True), (("data.size=[64, 64]",), False)])
def test_a_prediction_at_another_magnification_is_warned_of(pairs, tmp_path, caplog, setting, warned):
    root = pairs(["1_1", "2_1", "3_1", "4_1"])
    for path in sorted((root / "images").iterdir()):
        path.unlink()
        tiff(path.with_suffix(".tif"), 0.5)
    quick = ("training.threads=1", "model.settings={width: 4, depth: 2, stem: 2}", *setting)
    run = hilum.train(root, tmp_path / "run", steps=2, folds=2, settings=quick, device="cpu")
    assert run.plan.data.pixel_um == [0.5, 0.5]
    hilum.predict(run.folder, root / "images" / "1_1.tif", tmp_path / "same")
    assert "another magnification" not in caplog.text
    tiff(tmp_path / "coarse.tif", 1.0)
    hilum.predict(run.folder, tmp_path / "coarse.tif", tmp_path / "other")
    assert ("1 image of another magnification" in caplog.text) is warned
