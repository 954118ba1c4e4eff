import io

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.image.readers import read_image
from hilum.study.coding import find_coding, looks_like_mask
from hilum.study.inside import inside, open_mask
from hilum.study.open import understand
from hilum.study.study import Encoding, Source


def coding_of(*paths):
    return find_coding([Source(path) for path in paths])


def decoded(path, encoding):
    return inside(open_mask(Source(path), encoding), encoding)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_ringing_gives_a_threshold(tmp_path, save, disc, mode):
    mask = disc((64, 80))
    array = mask.astype(np.uint8) * 255
    path = save(tmp_path / "a.jpg", array if mode == "L" else np.stack([array] * 3, -1), quality=40)
    coding = coding_of(path)
    assert coding.parts == (("", Encoding("threshold", 127.0)),)
    assert not coding.doubt
    assert (decoded(path, coding.parts[0][1]) == mask).mean() > 0.995


@pytest.mark.parametrize(("high", "threshold"), [(1, 0.5), (255, 127.0)])
def test_clean_two_values(tmp_path, save, disc, high, threshold):
    mask = disc((64, 80))
    path = save(tmp_path / "a.png", mask.astype(np.uint8) * high)
    assert coding_of(path).parts == (("", Encoding("threshold", threshold)),)
    assert (decoded(path, Encoding("threshold", threshold)) == mask).all()


def test_one_bit_and_16_bit_masks(tmp_path, disc):
    mask = disc((64, 80))
    Pillow.fromarray(mask).save(tmp_path / "bit.png")
    Pillow.fromarray(mask.astype(np.uint16) * 65535).save(tmp_path / "deep.png")
    for name in ("bit.png", "deep.png"):
        ((_, encoding),) = coding_of(tmp_path / name).parts
        assert (decoded(tmp_path / name, encoding) == mask).all()


def test_a_value_in_a_single_late_file_is_found(tmp_path, save, disc):
    paths = []
    for number in range(60):
        mask = disc((32, 32), (16, 16), 6).astype(np.uint8)
        mask[:4, :4] = 2
        if number == 47:
            mask[-4:, -4:] = 5
        paths.append(save(tmp_path / f"{number:02d}.png", mask))
    assert [encoding.value for _, encoding in coding_of(*paths).parts] == [1, 2, 5]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_colours_become_targets(tmp_path, save, disc, suffix):
    array = np.zeros((64, 80, 3), np.uint8)
    red, green = disc((64, 80), (20, 20), 12), disc((64, 80), (40, 60), 12)
    array[red], array[green] = (255, 0, 0), (0, 255, 0)
    path = save(
        tmp_path / f"a{suffix}", array, **({"quality": 95, "subsampling": 0} if suffix == ".jpg" else {})
    )
    parts = dict(coding_of(path).parts)
    assert set(parts) == {"red", "green"}
    assert (decoded(path, parts["red"]) == red).mean() > 0.98
    assert (decoded(path, parts["green"]) == green).mean() > 0.98


def test_an_image_in_the_place_of_masks_is_doubted(tmp_path, save, picture):
    assert "are these masks" in coding_of(save(tmp_path / "a.png", picture(1, grey=True))).doubt


def test_numbered_objects_are_one_target_with_a_word(tmp_path):
    array = np.repeat(np.arange(400, dtype=np.uint16)[None], 8, axis=0)
    Pillow.fromarray(array).save(tmp_path / "a.png")
    coding = coding_of(tmp_path / "a.png")
    assert coding.parts == (("", Encoding("threshold", 0.5)),)
    assert "numbered objects" in coding.doubt


@pytest.mark.parametrize("objects", [40, 100, 200, 255])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_up_to_255_numbered_objects_are_one_target_too(tmp_path, objects, kind):
    """Most of the picture is background; every object is inside, not only those of high numbers."""
    array = np.zeros((400, 400), kind)
    for number in range(objects):
        y, x = divmod(number, 16)
        array[25 * y + 4 : 25 * y + 10, 25 * x + 4 : 25 * x + 11] = number + 1
    Pillow.fromarray(array).save(tmp_path / "a.png")
    coding = coding_of(tmp_path / "a.png")
    assert coding.numbered
    assert "numbered objects" in coding.doubt
    assert decoded(tmp_path / "a.png", coding.parts[0][1]).sum() == objects * 6 * 7


def test_soft_masks_are_not_taken_for_numbered_objects(tmp_path):
    """A probability that falls off slowly has as many values; half of it is inside."""
    y, x = np.mgrid[:300, :300]
    soft = 255 * np.exp(-(((y - 150) / 90) ** 2) - ((x - 150) / 70) ** 2)
    Pillow.fromarray(soft.astype(np.uint8)).save(tmp_path / "a.png")
    coding = coding_of(tmp_path / "a.png")
    assert not coding.numbered
    assert coding.parts == (("", Encoding("threshold", 127.0)),)


def test_looks_like_mask(tmp_path, save, picture, disc):
    assert looks_like_mask(Source(save(tmp_path / "m.jpg", disc((64, 80)).astype(np.uint8) * 255)))
    assert looks_like_mask(Source(save(tmp_path / "e.png", np.zeros((64, 80), np.uint8))))
    assert not looks_like_mask(Source(save(tmp_path / "i.jpg", picture(1))))


def test_unreadable_files_are_passed_over(tmp_path, save, disc):
    buffer = io.BytesIO()
    Pillow.fromarray(disc((64, 80)).astype(np.uint8) * 255).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:200])
    whole = save(tmp_path / "whole.png", disc((64, 80)).astype(np.uint8))
    assert coding_of(tmp_path / "cut.jpg", whole).parts == (("", Encoding("threshold", 0.5)),)


WHITE, BLACK, RED = [255, 255, 255], [0, 0, 0], [255, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_black_is_outside_in_a_palette_that_begins_with_white(tmp_path, save, disc, suffix):
    mask = disc((64, 80), (20, 20), 9)
    path = save(tmp_path / f"a{suffix}", (~mask).astype(np.uint8), palette=WHITE + BLACK)
    ((name, encoding),) = coding_of(path).parts
    assert name == ""
    assert (decoded(path, encoding) == mask).all()


def test_index_0_can_be_one_of_several_targets(tmp_path, save, disc):
    white, red = disc((64, 80), (20, 20), 9), disc((64, 80), (44, 60), 9)
    indices = np.full((64, 80), 2, np.uint8)
    indices[white], indices[red] = 0, 1
    path = save(tmp_path / "a.png", indices, palette=WHITE + RED + BLACK)
    parts = dict(coding_of(path).parts)
    assert set(parts) == {"white", "red"}
    assert (decoded(path, parts["white"]) == white).all()
    assert (decoded(path, parts["red"]) == red).all()


def test_palettes_that_differ_from_file_to_file_are_read_by_their_colours(tmp_path, save, disc):
    """So a picture program saves them: the most frequent colour first, of an empty mask black alone."""
    masks = [disc((64, 80), (20, 20), 9), np.zeros((64, 80), bool), ~disc((64, 80), (30, 40), 12)]
    paths = []
    for number, mask in enumerate(masks):
        first = mask.mean() > 0.5 or number == 0
        palette = WHITE + BLACK if first else BLACK + WHITE
        paths.append(save(tmp_path / f"{number}.png", (mask != first).astype(np.uint8), palette=palette))
    ((_, encoding),) = coding_of(*paths).parts
    for path, mask in zip(paths, masks, strict=True):
        assert (decoded(path, encoding) == mask).all()


@pytest.mark.parametrize("palette", [BLACK + WHITE, WHITE + RED, BLACK + RED + BLACK])
def test_index_0_is_outside_where_it_is_black_or_nothing_is(tmp_path, save, disc, palette):
    mask = disc((64, 80), (20, 20), 9)
    path = save(tmp_path / "a.png", mask.astype(np.uint8), palette=palette)
    assert coding_of(path).parts == (("", Encoding("index", 1.0)),)


def late_colour(tmp_path, save):
    paths = []
    for number in range(60):
        array = np.zeros((32, 32, 3), np.uint8)
        array[4:12, 4:12] = RED
        if number == 47:
            array[20:28, 20:28] = (0, 0, 255)
        paths.append(save(tmp_path / f"{number:02d}.png", array))
    return paths


def test_a_colour_in_a_single_late_file_is_found(tmp_path, save):
    coding = coding_of(*late_colour(tmp_path, save))
    assert [name for name, _ in coding.parts] == ["blue", "red"]
    assert not coding.warnings


def test_files_that_were_not_looked_at_are_told(tmp_path, save, picture, monkeypatch, caplog):
    monkeypatch.setattr("hilum.study.coding._EVERY", 40)
    coding = coding_of(*late_colour(tmp_path / "masks", save))
    assert [name for name, _ in coding.parts] == ["red"]
    assert "first 40 of 60 mask files" in coding.warnings[0]
    assert "first 40 of 60" in caplog.text
    for number in range(60):
        save(tmp_path / "images" / f"{number:02d}.png", picture(number, (32, 32)))
    warnings = [one.message for one in understand(tmp_path).findings if one.severity == "warning"]
    assert any("first 40 of 60" in message for message in warnings)


@pytest.mark.parametrize(
    ("kind", "options"),
    [(bool, {}), (bool, {"ome": True}), (np.uint8, {"imagej": True, "photometric": "miniswhite"})],
)
def test_masks_whose_writer_means_the_values_are_not_inverted(tmp_path, disc, kind, options):
    mask = disc((64, 80))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, mask if kind is bool else mask.astype(kind) * 255, **options)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].photometric == 0
    coding = coding_of(path)
    assert (decoded(path, coding.parts[0][1]) == mask).all()
    assert not coding.warnings
    assert (read_image(path).array[0] > 127).mean() == pytest.approx((~mask).mean())


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_other_masks_with_white_as_0_are_inverted_with_a_warning(tmp_path, save, picture, disc, caplog, kind):
    mask = disc((64, 80))
    (tmp_path / "masks").mkdir()
    for number in range(3):
        save(tmp_path / "images" / f"{number}.png", picture(number))
        stored = ~mask if kind is bool else 255 - mask.astype(kind) * 255
        path = tmp_path / "masks" / f"{number}.tif"
        tifffile.imwrite(path, stored, photometric="miniswhite", metadata=None, software="scanner")
    coding = coding_of(path)
    assert (decoded(path, coding.parts[0][1]) == mask).all()
    assert "2.tif" in caplog.text
    assert "WhiteIsZero" in coding.warnings[0]
    assert any("WhiteIsZero" in one.message for one in understand(tmp_path).findings)
