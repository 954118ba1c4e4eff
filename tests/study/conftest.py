"""Makers of small studies on disk."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture():
    """An image (Y, X, 3) uint8 with its own texture for each seed."""

    def make(seed=0, shape=(64, 80), grey=False):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(20, 235, (8, 10) if grey else (8, 10, 3)).astype(np.uint8)
        big = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
        noise = rng.integers(-12, 12, np.asarray(big).shape)
        return np.clip(np.asarray(big).astype(int) + noise, 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def save():
    """Writes an array as an image, folders made on the way; quality makes JPEG ringing."""

    def write(path, array, palette=None, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(array)
        if palette is not None:
            image = Image.fromarray(array, mode="P")
            image.putpalette(palette)
        image.save(path, **options)
        return path

    return write


@pytest.fixture
def pairs(tmp_path, picture, save, disc):
    """A study of images/ and masks/ under names; returns its folder."""

    def make(names, root=None, images="images", masks="masks", suffix="", radius=12):
        root = root or tmp_path / "study"
        for seed, name in enumerate(names):
            save(root / images / f"{name}.png", picture(seed))
            mask = disc((64, 80), (20 + seed % 20, 40), radius).astype(np.uint8) * 255
            save(root / masks / f"{name}{suffix}.png", mask)
        return root

    return make
