import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError


@pytest.fixture
def mask_file(tmp_path, disc):
    path = tmp_path / "disc.png"
    Pillow.fromarray((disc() * 255).astype(np.uint8)).save(path)
    return path


def test_a_mask_is_measured_in_the_unit_given(mask_file, disc, tmp_path):
    rows, regions = hilum.measure([mask_file], spacing="0.5um", out=tmp_path / "out")
    assert rows[0]["area"] == pytest.approx(disc().sum() * 0.25)
    assert rows[0]["unit"] == "µm²"
    assert len(regions) == rows[0]["regions"] == 1
    assert len(pd.read_csv(tmp_path / "out" / "measurements.csv")) == 1


def test_without_a_spacing_pixels_are_counted(mask_file, disc):
    rows, _ = hilum.measure([mask_file])
    assert (rows[0]["area"], rows[0]["unit"]) == (disc().sum(), "px²")


@pytest.mark.parametrize("spacing", ["wide", "-1um", "0mm", "1 parsec"])
def test_a_wrong_spacing_says_how_to_write_one(mask_file, spacing):
    with pytest.raises(HilumError):
        hilum.measure([mask_file], spacing=spacing)
