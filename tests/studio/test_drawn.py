import json

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.studio import drawn
from hilum.studio.api import describe
from hilum.studio.drawn import exported, imported
from hilum.studio.journal import Stroke
from hilum.studio.spans import spans_of

SIZE = (40, 56)


def test_the_first_mask_of_an_image_is_exported_right_after_its_first_stroke(tmp_path, write, desk_of, disc):
    mask = disc(SIZE, (20, 20), 10)
    desk = desk_of(write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1, "masks/a.png": mask}))
    desk.easel.stroke("b", "target", Stroke(spans_of(mask), key="1"), desk.easel.open("b", "target").version)
    assert len(json.loads(exported(desk, "b"))["features"]) == 1


def test_images_with_infinite_or_no_values_are_described(tmp_path, desk_of):
    (tmp_path / "s/images").mkdir(parents=True)
    values = np.full(SIZE, 0.5, np.float32)
    values[3, 3] = np.inf
    for name, array in {"a": values, "b": np.full(SIZE, np.nan, np.float32)}.items():
        np.save(tmp_path / f"s/images/{name}.npy", array)
    desk = desk_of(tmp_path / "s")
    found = [describe(desk, name) for name in "ab"]
    json.dumps(found, allow_nan=False)
    assert [list(one["range"]) for one in found] == [[0.5, 0.5], [0.0, 0.0]]


def test_a_file_that_is_too_large_says_how_to_go_on(tmp_path, write, desk_of, monkeypatch):
    monkeypatch.setattr(drawn, "LIMIT_BYTES", 2_000_000)
    desk = desk_of(write(tmp_path / "s", {"images/a.png": 0}))
    with pytest.raises(HilumError, match=r"has 3 MB, up to 2 MB are taken; split it"):
        imported(desk, "a", b" " * 3_000_000)
