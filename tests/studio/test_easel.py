"""Masks that are open: one that cannot be saved, and files that other programs change meanwhile."""

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import HilumError
from hilum.studio.easel import StaleError
from hilum.studio.journal import Stroke
from hilum.studio.spans import spans_of

SIZE = (40, 56)


@pytest.fixture
def folder(tmp_path, write, disc):
    mask = disc(SIZE, (12, 12), 6)
    images = {f"images/{name}.png": k for k, name in enumerate("abc")}
    return write(tmp_path / "s", {**images, "masks/a.png": mask, "masks/b.png": mask})


def stroke(desk, name, mask):
    key, version = str(mask.nonzero()), desk.easel.open(name, "target").version
    return desk.easel.stroke(name, "target", Stroke(spans_of(mask), key=key), version)


def on_disk(path):
    return np.asarray(Pillow.open(path)) > 0


def add(path, mask):
    """Paint into a mask as another program does."""
    Pillow.fromarray((on_disk(path) | mask).astype(np.uint8) * 255).save(path)


def test_a_mask_that_cannot_be_saved_keeps_no_other_from_being_saved(folder, desk_of, disc):
    desk, new = desk_of(folder), disc(SIZE, (30, 40), 5)
    stroke(desk, "b", new)
    stroke(desk, "a", new)
    for kind in ("images", "masks"):
        (folder / kind / "b.png").rename(folder / kind / "d.png")
    desk.refresh()
    with pytest.raises(HilumError, match="target of b is not saved"):
        desk.easel.save_all()
    assert on_disk(folder / "masks/a.png")[30, 40]
    assert desk.easel.waiting() == [("b", "target")]


def test_a_mask_that_another_program_changed_is_read_anew(folder, desk_of, disc):
    desk, other = desk_of(folder), disc(SIZE, (30, 45), 5)
    assert desk.easel.open("a", "target").version == 0
    add(folder / "masks/a.png", other)
    painting = desk.easel.open("a", "target")
    assert painting.mask[30, 45]
    assert painting.version == 1
    with pytest.raises(StaleError):
        desk.easel.stroke("a", "target", Stroke(spans_of(other), key="old"), 0)
    stroke(desk, "a", disc(SIZE, (5, 50), 2))
    desk.easel.save_all()
    add(folder / "masks/a.png", disc(SIZE, (36, 6), 2))
    stroke(desk, "a", disc(SIZE, (5, 40), 2))
    desk.easel.save_all()
    found = on_disk(folder / "masks/a.png")
    assert all(found[place] for place in ((12, 12), (30, 45), (5, 50), (36, 6), (5, 40)))


def test_what_another_program_wrote_while_strokes_waited_is_kept(folder, desk_of, disc, caplog):
    desk, other, path = desk_of(folder), disc(SIZE, (30, 45), 5), folder / "masks/a.png"
    first = path.read_bytes()
    stroke(desk, "a", disc(SIZE, (5, 50), 2))
    desk.easel.save_all()
    stroke(desk, "a", disc(SIZE, (5, 40), 2))
    add(path, other)
    theirs = path.read_bytes()
    desk.easel.save_all()
    kept = folder / ".studio/originals/masks"
    assert (kept / "a.png").read_bytes() == first
    assert (kept / "a (2).png").read_bytes() == theirs
    assert "another program" in caplog.text
    stroke(desk, "a", disc(SIZE, (5, 30), 2))
    desk.easel.save_all()
    assert len(list(kept.iterdir())) == 2, "what the studio wrote itself is not kept"
