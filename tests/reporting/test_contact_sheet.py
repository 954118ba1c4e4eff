import io

import numpy as np
import pytest
from PIL import Image

from hilum.reporting.contact_sheet import contact_sheet, sheet


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 30])
def test_every_number_of_pictures_gives_a_png(count):
    pictures = [(f"IM-{place}.jpeg", np.full((50, 40 + place), 90, np.uint8)) for place in range(count)]
    image = Image.open(io.BytesIO(contact_sheet(pictures, title="NORMAL", side=80)))
    assert image.format == "PNG"
    rows = max(1, -(-count // 6))
    assert image.size[1] >= rows * 80


def test_pictures_lie_in_their_cells_in_order():
    levels = [10, 60, 110, 160]
    grid = sheet([(str(level), np.full((9, 9), level, np.uint8)) for level in levels], columns=2, side=90)
    found = [grid[y, x, 0] for y in (50, 50 + grid.shape[0] // 2) for x in (50, 50 + 96)]
    assert np.abs(np.array(found, int) - levels).max() <= 2


def test_title_is_never_cut_off():
    one = sheet(
        [("a", np.zeros((9, 9), np.uint8))],
        title="PNEUMONIA, 100 of 3,883 images of the training set",
        side=60,
    )
    assert (one[:, -1] == 255).all()
