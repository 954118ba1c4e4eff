import io

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image as Pillow
from scipy.ndimage import zoom

from hilum.errors import ImageError
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


@pytest.mark.parametrize("value", [85, 120, 128, 200])
@pytest.mark.parametrize("way", ["JPEG", "BICUBIC"])
def test_a_grey_class_between_black_and_white_is_told(tmp_path, save, disc, value, way):
    array = disc((128, 128), (50, 50), 25) * np.uint8(255)
    array[disc((128, 128), (100, 90), 12)] = value
    if way == "JPEG":
        path = save(tmp_path / "a.jpg", array, quality=90)
    else:
        path = save(tmp_path / "a.png", np.asarray(Pillow.fromarray(array).resize((100, 100))))
    coding = coding_of(path)
    assert coding.parts == (("", Encoding("threshold", 127.0)),)
    (words,) = coding.warnings
    assert f"read as {'inside' if value > 127 else 'outside'}" in words
    assert int(words.split("near ")[1].split()[0]) == pytest.approx(value, abs=8)


@pytest.mark.parametrize("side", [50, 90, 180, 512])
@pytest.mark.parametrize("way", ["BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_soft_edges_are_no_class_between_black_and_white(tmp_path, save, disc, side, way):
    array = disc((128, 128), (50, 50), 25) * np.uint8(255)
    resized = Pillow.fromarray(array).resize((side, side), Pillow.Resampling[way])
    assert not coding_of(save(tmp_path / "a.png", np.asarray(resized))).warnings


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


GREEN = [0, 255, 0]


def test_palettes_that_swap_two_targets_are_read_by_their_colours(tmp_path, save, disc):
    red, green = disc((64, 80), (20, 20), 9), disc((64, 80), (44, 60), 9)
    paths = []
    for number in range(4):
        first, second = (red, green) if number % 2 else (green, red)
        palette = BLACK + (RED + GREEN if number % 2 else GREEN + RED)
        indices = first + 2 * second.astype(np.uint8)
        paths.append(save(tmp_path / f"{number}.png", indices.astype(np.uint8), palette=palette))
    coding = coding_of(*paths)
    parts = dict(coding.parts)
    assert set(parts) == {"red", "green"}
    assert all((decoded(path, parts["red"]) == red).all() for path in paths)
    assert "index 1 is green in the palette of" in coding.warnings[0]
    assert "read by their colours" in coding.warnings[0]


@pytest.mark.parametrize("other", [BLACK + GREEN, [0, 0, 0, 1, 1, 1]])
def test_one_target_in_a_colour_of_each_annotator_stays_one(tmp_path, save, disc, other):
    mask = disc((64, 80), (20, 20), 9)
    paths = [
        save(tmp_path / f"{number}.png", mask.astype(np.uint8), palette=palette)
        for number, palette in enumerate([BLACK + RED, other])
    ]
    coding = coding_of(*paths)
    assert coding.parts == (("", Encoding("index", 1.0)),)
    assert ["read by their indices" in words for words in coding.warnings] == [True] * (255 in other)


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


def one_target(*paths):
    ((name, encoding),) = coding_of(*paths).parts
    assert name == ""
    return encoding


@pytest.mark.parametrize("order", [1, 3])
def test_a_float_mask_is_cut_halfway_where_resizing_overshot(tmp_path, order):
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 20:40] = 1
    np.save(tmp_path / "a.npy", zoom(mask, 4, order=order))
    found = decoded(tmp_path / "a.npy", one_target(tmp_path / "a.npy"))
    assert found.sum() == pytest.approx(80 * 80, rel=0.05)


def test_labels_that_stray_from_whole_numbers_are_those_numbers(tmp_path, disc):
    one, two = disc((64, 80), (20, 20), 9), disc((64, 80), (44, 60), 9)
    np.save(tmp_path / "a.npy", (1.0000153 * one + 2 * two).astype(np.float32))
    np.save(tmp_path / "b.npy", (0.9999 * one + 1.9999 * two).astype(np.float32))
    parts = coding_of(tmp_path / "a.npy", tmp_path / "b.npy").parts
    assert [encoding.value for _, encoding in parts] == [1, 2]
    for name in ("a.npy", "b.npy"):
        for (_, encoding), mask in zip(parts, (one, two), strict=True):
            assert (decoded(tmp_path / name, encoding) == mask).all()


def one_hot(disc):
    one, two = disc((64, 80), (20, 20), 9), disc((64, 80), (44, 60), 9)
    return np.stack([~(one | two), one, two])


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("suffix", [".npy", ".tif", ".nii.gz"])
def test_masks_of_several_channels_are_refused_by_name(tmp_path, disc, number, suffix):
    channels = np.stack([*one_hot(disc), np.zeros((64, 80), bool)])[:number].astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, channels)
    elif suffix == ".tif":
        tifffile.imwrite(path, channels, ome=True, metadata={"axes": "CYX"}, photometric="minisblack")
    else:
        volume = np.repeat(channels[:, None], 5, axis=1)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume, isVector=False), path)
    coding = coding_of(path)
    assert "no mask file could be read" in coding.doubt
    assert f"a{suffix}: holds {number} channels" in coding.doubt
    with pytest.raises(ImageError, match="one file a target, or one index a target in a single channel"):
        decoded(path, coding.parts[0][1])


def test_channels_that_are_no_background_are_refused_too(tmp_path, disc):
    channels = one_hot(disc)
    np.save(tmp_path / "a.npy", np.stack([0 * channels[0], *channels[1:]]).astype(np.uint8))
    np.save(tmp_path / "b.npy", np.stack([*channels, 0 * channels[0]]).astype(np.uint8) * np.uint8(255))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ImageError, match="channels of uint8 that differ"):
            decoded(tmp_path / name, Encoding("threshold", 0.5))


@pytest.mark.parametrize("options", [{"photometric": "minisblack"}, {"imagej": True}])
def test_three_channels_that_are_stated_as_such_are_no_colours(tmp_path, disc, options):
    channels = np.stack([*one_hot(disc)[1:], np.zeros((64, 80), bool)]).astype(np.uint8) * np.uint8(255)
    tifffile.imwrite(tmp_path / "a.tif", channels, metadata={"axes": "CYX"}, **options)
    with pytest.raises(ImageError, match="holds 3 channels of uint8"):
        decoded(tmp_path / "a.tif", Encoding("threshold", 127.0))
    tifffile.imwrite(tmp_path / "b.tif", channels, photometric="rgb", planarconfig="separate")
    assert {name for name, _ in coding_of(tmp_path / "b.tif").parts} == {"red", "green"}


@pytest.mark.parametrize("number", [2, 3, 4])
def test_equal_channels_and_colours_are_read_as_before(tmp_path, save, disc, number):
    mask = disc((64, 80))
    np.save(tmp_path / "a.npy", np.stack([mask] * number).astype(np.float32))
    assert (decoded(tmp_path / "a.npy", one_target(tmp_path / "a.npy")) == mask).all()
    grey = np.stack([mask * np.uint8(255), np.full(mask.shape, 255, np.uint8)], -1)
    assert (decoded(save(tmp_path / "la.png", grey), Encoding("threshold", 127.0)) == mask).all()
    rgba = np.zeros((64, 80, 4), np.uint8)
    rgba[mask] = (255, 0, 0, 255)
    parts = dict(coding_of(save(tmp_path / "rgba.png", rgba)).parts)
    assert (decoded(tmp_path / "rgba.png", parts["red"]) == mask).all()


def test_an_empty_transparent_layer_is_an_empty_mask(tmp_path, save, disc):
    mask = disc((64, 80))
    paths = []
    for number, drawn in enumerate((mask, np.zeros_like(mask))):
        layer = np.full((64, 80, 4), 255, np.uint8)
        layer[..., 3] = drawn * np.uint8(255)
        paths.append(save(tmp_path / f"{number}.png", layer))
    encoding = one_target(*paths)
    assert (decoded(paths[0], encoding) == mask).all()
    assert not decoded(paths[1], encoding).any()


@pytest.mark.parametrize("odd", [[3, 41, 77], [0, 41, 77]])
def test_masks_of_0_and_1_among_those_of_0_and_255_are_the_same_target(tmp_path, save, disc, odd):
    """Whether they are in the sample that is looked at first or not."""
    mask = disc((32, 32), (16, 16), 6)
    paths = [save(tmp_path / f"{k:02d}.png", mask * np.uint8(1 if k in odd else 255)) for k in range(100)]
    encoding = one_target(*paths)
    assert all((decoded(path, encoding) == mask).all() for path in paths)


@pytest.mark.parametrize("second", [BLACK + WHITE, [0, 0, 0, 128, 0, 0]])
def test_palettes_among_masks_of_0_and_255_are_the_same_target(tmp_path, save, disc, second):
    mask = disc((32, 32), (16, 16), 6)
    paths = [save(tmp_path / f"{k}.png", mask * np.uint8(255)) for k in range(3)]
    paths.append(save(tmp_path / "p.png", mask.astype(np.uint8), palette=second))
    encoding = one_target(*paths)
    assert all((decoded(path, encoding) == mask).all() for path in paths)


def test_1_and_255_in_one_file_are_two_labels(tmp_path, save, disc):
    array = disc((32, 32), (10, 10), 6) * np.uint8(255)
    array[20:24, 20:24] = 1
    paths = [save(tmp_path / "a.png", array), save(tmp_path / "b.png", np.minimum(array, 1))]
    assert [name for name, _ in coding_of(*paths).parts] == ["index-1", "index-255"]


def two_colours(disc):
    red, green = disc((400, 400), (200, 150), 90), disc((400, 400), (200, 280), 70)
    array = np.zeros((400, 400, 3), np.uint8)
    array[red], array[green] = (255, 0, 0), (0, 255, 0)
    return array, {"red": red & ~green, "green": green}


@pytest.mark.parametrize("side", [150, 200, 300])
@pytest.mark.parametrize("way", ["BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_edges_blended_by_resizing_are_no_targets(tmp_path, save, disc, side, way):
    array, masks = two_colours(disc)
    small = Pillow.fromarray(array).resize((side, side), Pillow.Resampling[way])
    path = save(tmp_path / "a.png", np.asarray(small))
    coding = coding_of(path)
    assert [name for name, _ in coding.parts] == ["green", "red"]
    for name, encoding in coding.parts:
        expected = masks[name].sum() * (side / 400) ** 2
        assert decoded(path, encoding).sum() == pytest.approx(expected, rel=0.05)


def test_edges_that_were_left_out_are_told_of_and_go_to_the_nearer_colour(tmp_path, save, disc):
    array, masks = two_colours(disc)
    halved = Pillow.fromarray(array).resize((200, 200), Pillow.Resampling.BOX)
    path = save(tmp_path / "a.png", np.asarray(halved))
    coding = coding_of(path)
    assert "blended in resizing" in coding.warnings[0]
    for name, encoding in coding.parts:
        assert decoded(path, encoding).sum() == pytest.approx(masks[name].sum() / 4, rel=0.01)


@pytest.mark.parametrize("dark", [np.s_[20:60, 20:60], np.s_[20:22, :]])
def test_a_colour_between_two_others_is_a_target_where_it_is_no_edge(tmp_path, save, disc, dark):
    array, _ = two_colours(disc)
    array[dark] = (128, 0, 0)
    coding = coding_of(save(tmp_path / "a.png", array))
    assert [name for name, _ in coding.parts] == ["green", "colour-800000", "red"]
    assert not coding.warnings
