"""Small studies to paint on, and a desk over each."""

import numpy as np
import pytest

pytest.importorskip("nicegui")

from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.writers import write_image, write_mask
from hilum.studio.desk import open_desk

SIZE = (40, 56)


@pytest.fixture(scope="session")
def picture():
    """Makes an RGB image (3, Y, X) of noise around a bright disc."""

    def make(seed=0, size=SIZE):
        rows, columns = np.ogrid[: size[0], : size[1]]
        inside = (rows - 20) ** 2 + (columns - 20 - seed) ** 2 <= 100
        noise = np.random.default_rng(seed).integers(0, 60, (3, *size))
        return Image((noise + 150 * inside).astype(np.uint8), Spacing((0.5, 0.5), "um"))

    return make


@pytest.fixture
def write(picture):
    """Writes images and masks: write(folder, {"images/a.png": 0, "masks/a.png": mask, ...})."""

    def files(folder, content):
        for name, what in content.items():
            if isinstance(what, np.ndarray):
                write_mask(folder / name, what)
            else:
                write_image(folder / name, picture(what))
        return folder

    return files


@pytest.fixture
def desk_of(tmp_path):
    """Opens a desk with its runs in a folder of the test."""

    def make(folder):
        return open_desk(folder, tmp_path / "runs")

    return make
