import os

import numpy as np

from hilum.image.writers import write_mask
from hilum.studio import thumbnails
from hilum.studio.pages.images import gallery_tiles, images_html
from hilum.studio.thumbnails import stamp, thumbnail_of

SIZE = (40, 56)


def study(tmp_path, write, count=5):
    mask = np.zeros(SIZE, bool)
    mask[4:9, 4:9] = True
    images = {f"images/{k}.png": k for k in range(count)}
    return write(tmp_path / "s & <b>", {**images, "masks/0.png": mask})


def test_the_page_is_whole_html_and_names_are_quoted(tmp_path, write, desk_of):
    desk = desk_of(study(tmp_path, write))
    page = images_html(desk)
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>")
    assert "5 images" in page
    assert "s &amp; &lt;b>" in page
    assert "<b>" not in page
    assert page.count('class="tile"') == 5
    assert "http" not in page, "nothing is loaded from elsewhere"


def test_tiles_come_in_parts_sorted_and_filtered(tmp_path, write, desk_of):
    desk = desk_of(study(tmp_path, write))
    first = gallery_tiles(desk, most=2)
    assert (first.html.count("<img"), first.next, first.words) == (2, 2, "5 of 5")
    last = gallery_tiles(desk, start=4, most=2)
    assert (last.html.count("<img"), last.next) == (1, None)
    assert gallery_tiles(desk, keep="open").wanted == 4
    assert "No image is like that" in gallery_tiles(desk, text="nothing").html


def test_a_picture_is_made_once_and_anew_when_its_mask_changes(tmp_path, write, desk_of, monkeypatch):
    desk = desk_of(study(tmp_path, write))
    made = []
    make = thumbnails._made
    monkeypatch.setattr(thumbnails, "_made", lambda *all: made.append(1) or make(*all))
    before, case = thumbnail_of(desk, "0"), desk.view.by_name["0"]
    assert thumbnail_of(desk, "0") == before
    assert len(made) == 1
    old = stamp(desk, case)
    path = write_mask_anew(desk.view.root / "masks/0.png")
    os.utime(path, ns=(1, 1))
    assert stamp(desk, case) != old
    assert thumbnail_of(desk, "0") != before
    assert len(made) == 2


def write_mask_anew(path):
    mask = np.zeros(SIZE, bool)
    mask[20:36, 20:50] = True
    write_mask(path, mask)
    return path


def test_files_that_come_and_go_are_seen_and_masks_written_anew_cost_nothing(tmp_path, write, desk_of):
    desk = desk_of(study(tmp_path, write))
    write_mask_anew(desk.view.root / "masks/0.png")
    assert not desk.refresh(always=False)
    desk.looked = 0.0
    write(desk.view.root, {"images/new.png": 9})
    assert desk.refresh(always=False)
    assert len(desk.view.cases) == 6
