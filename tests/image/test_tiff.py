"""The TIFF family: types, axes, colours, frames, spacing, and files that lie."""

import struct
import time

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.errors import ImageError
from hilum.image.readers import probe, read_image, read_indices
from hilum.image.spacing import Spacing

rng = np.random.default_rng(2)
GREY = rng.integers(0, 256, (20, 30), dtype=np.uint8)
COLOUR = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
STACK = rng.integers(0, 60_000, (5, 20, 30), dtype=np.uint16)
OME_SIZES = {f"PhysicalSize{axis}": size for axis, size in zip("XYZ", (0.5, 0.25, 2.0), strict=True)}


@pytest.fixture
def write(tmp_path):
    def make(array, name="a.tif", **options):
        tifffile.imwrite(tmp_path / name, array, **options)
        return tmp_path / name

    return make


def read(path, index=None):
    """Read, having checked that the header says the same."""
    image, header = read_image(path, index=index), probe(path, index=index)
    stated = (header.channels, header.shape, header.dtype, header.spacing)
    assert stated == (image.channels, image.shape, image.array.dtype, image.spacing)
    assert image.array.dtype.isnative
    assert image.array.flags["C_CONTIGUOUS"]
    return image


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_types_stay(write, kind, order, compression):
    array = (GREY - 128.0 if kind[0] != "u" else GREY).astype(kind)
    image = read(write(array, byteorder=order, compression=compression, bigtiff=order == ">"))
    assert image.array.dtype == np.dtype(kind)
    assert np.array_equal(image.array[0], array)
    assert image.notes == ()


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_one_bit(write, photometric):
    stored = GREY > 99
    expected = stored if photometric == "minisblack" else ~stored
    image = read(write(stored, photometric=photometric))
    assert image.array.dtype == np.uint8
    assert np.array_equal(image.array[0], expected * 255)


def test_white_is_zero(write):
    image = read(write(GREY, photometric="miniswhite"))
    assert np.array_equal(image.array[0], 255 - GREY)
    assert "inverted" in image.notes[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"planarconfig": "separate"},
        {"tile": (16, 16), "compression": "zstd"},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 3},
        {"bigtiff": True, "compression": "packbits"},
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_rgb(write, options, kind):
    array = COLOUR.astype(kind) * kind(257 if kind == np.uint16 else 1)
    separate = options.get("planarconfig") == "separate"
    image = read(write(np.moveaxis(array, -1, 0) if separate else array, photometric="rgb", **options))
    assert np.array_equal(image.array, np.moveaxis(array, -1, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_modes_of_pillow(tmp_path, mode):
    Pillow.fromarray(COLOUR).convert(mode).save(tmp_path / "a.tif")
    image = read(tmp_path / "a.tif")
    expected = np.asarray(
        Pillow.open(tmp_path / "a.tif").convert({1: "F" if mode in "IF" else "L"}.get(image.channels, "RGB"))
    )
    assert np.abs(np.moveaxis(image.array, 0, -1).squeeze().astype(float) - expected).max() <= (
        mode == "YCbCr"
    )


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_inside(write, tmp_path, subsampling):
    smooth = np.stack(
        np.broadcast_arrays(np.arange(0, 240, 8), 99, np.arange(0, 200, 10)[:, None]), -1
    ).astype("u1")
    luma = np.asarray(Pillow.fromarray(smooth).convert("YCbCr"))
    stored = write(luma, photometric="ycbcr", compression="jpeg", subsampling=subsampling)
    assert np.abs(read(stored).array.astype(int) - np.moveaxis(smooth, -1, 0)).max() < 12
    Pillow.fromarray(smooth).save(tmp_path / "b.tif", compression="jpeg", quality=95)
    assert np.abs(read(tmp_path / "b.tif").array.astype(int) - np.moveaxis(smooth, -1, 0)).max() < 12


def test_palette(write):
    table = rng.integers(0, 65_536, (3, 256), dtype=np.uint16)
    path = write(GREY, photometric="palette", colormap=table)
    kept = read_indices(path)
    assert np.array_equal(kept.array[0], GREY)
    assert np.array_equal(kept.palette, (table >> 8).T)
    assert np.array_equal(read(path).array[:, 3, 4], table[:, GREY[3, 4]] >> 8)
    assert probe(path).palette


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, orientation):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, GREY, extratags=[(274, "H", 1, orientation, True)], resolution=(4e4, 2e4), resolutionunit=3
    )
    image = read(path)
    assert image.shape == ((20, 30) if orientation <= 4 else (30, 20))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert image.array[0][corner[orientation]] == GREY[0, 0]
    assert image.spacing.sizes == ((0.5, 0.25) if orientation <= 4 else (0.25, 0.5))


def test_plain_pages_are_a_volume_or_frames(write):
    path = write(STACK)
    image = read(path)
    assert np.array_equal(image.array[0], STACK)
    assert "planes of a volume" in image.notes[0]
    assert probe(path).frames == 5
    assert np.array_equal(read(path, index=3).array[0], STACK[3])
    with pytest.raises(ImageError, match="index 0 to 4"):
        read_image(path, index=5)


@pytest.mark.parametrize(
    ("options", "spacing"),
    [
        (
            {"imagej": True, "resolution": (2, 4), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 3.0}},
            (3, 0.25, 0.5),
        ),
        (
            {
                "imagej": True,
                "resolution": (2, 4),
                "metadata": {"axes": "ZYX", "unit": "\\u00B5m", "spacing": 3},
            },
            (3, 0.25, 0.5),
        ),
        ({"ome": True, "metadata": {"axes": "ZYX", **OME_SIZES}}, (2, 0.25, 0.5)),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"axes": "ZYX", "unit": "um"}}, None),
        (
            {
                "imagej": True,
                "resolution": (2, 4),
                "metadata": {"axes": "ZYX", "unit": "pixel", "spacing": 3},
            },
            None,
        ),
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, None),
        ({"ome": True, "metadata": {"axes": "ZYX"}}, None),
    ],
)
def test_stated_volumes(write, options, spacing):
    path = write(STACK, **options)
    image = read(path)
    assert np.array_equal(image.array[0], STACK)
    assert image.spacing == (Spacing(spacing, "um") if spacing else Spacing((1, 1, 1)))
    plane = read(path, index=2)
    assert np.array_equal(plane.array[0], STACK[2])


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("mm", (0.25, 0.5)), ("nm", (0.00025, 0.0005)), ("pixel", None), ("µm", (0.25, 0.5))],
)
def test_ome_units(write, unit, expected):
    units = {f"{key}Unit": unit for key in OME_SIZES}
    spacing = read(write(GREY, ome=True, metadata={"axes": "YX", **OME_SIZES, **units})).spacing
    if expected is None:
        assert not spacing.known
    else:
        assert spacing.unit == ("mm" if unit == "mm" else "um")
        assert spacing.sizes == pytest.approx(expected)


@pytest.mark.parametrize(
    ("resolution", "unit", "sizes"),
    [
        ((20_000, 10_000), 3, (1.0, 0.5)),
        ((25_400, 25_400), 2, (1.0, 1.0)),
        ((300, 300), 2, None),
        ((28.35, 28.35), 3, None),
        ((20_000, 20_000), 1, None),
        ((0, 0), 2, None),
    ],
)
def test_resolution_tags(write, resolution, unit, sizes):
    spacing = read(write(GREY, resolution=resolution, resolutionunit=unit)).spacing
    assert (spacing.sizes if spacing.known else None) == (pytest.approx(sizes) if sizes else None)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}])
def test_time_needs_an_index(write, options):
    path = write(STACK, metadata={"axes": "TYX"}, **options)
    with pytest.raises(ImageError, match=r"time series of 5 frames; write each frame .* index=0"):
        read_image(path)
    assert probe(path).frames == 5
    assert np.array_equal(read(path, index=4).array[0], STACK[4])


@pytest.mark.parametrize("axes", ["TCZYX", "CTZYX", "ZTCYX", "TZYXC"])
def test_five_axes(write, axes):
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 10, "X": 11}
    array = rng.integers(0, 60_000, [sizes[letter] for letter in axes], dtype=np.uint16)
    image = read(
        write(array, ome=axes != "TZYXC", metadata={"axes": axes}, photometric="minisblack"), index=1
    )
    expected = np.moveaxis(array, [axes.index(letter) for letter in "TCZYX"], range(5))[1]
    assert np.array_equal(image.array, expected)


def test_channels(write):
    assert np.array_equal(read(write(STACK, metadata={"axes": "CYX"})).array, STACK)
    assert np.array_equal(read(write(STACK, imagej=True, metadata={"axes": "CYX"})).array, STACK)
    assert np.array_equal(read(write(STACK, ome=True, metadata={"axes": "CYX"})).array, STACK)


def test_smaller_images_behind_the_first_are_noted(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY)
        writer.write(GREY[:10, :10])
    image = read(tmp_path / "a.tif")
    assert np.array_equal(image.array[0], GREY)
    assert "1 further image" in image.notes[0]


def test_what_is_not_read(write, tmp_path):
    with pytest.raises(ImageError, match="complex128"):
        read_image(write(GREY.astype(complex)))
    Pillow.fromarray(COLOUR).convert("LAB").save(tmp_path / "lab.tif")
    with pytest.raises(ImageError, match="CIELAB is not read"):
        read_image(tmp_path / "lab.tif")
    with pytest.raises(ImageError, match="no entry"):
        read_image(write(GREY), entry="x")


def test_other_files_named_in_a_file_are_not_opened(tmp_path):
    outside = tmp_path / "outside.tif"
    tifffile.imwrite(outside, np.full((20, 30), 77, np.uint8))
    folder = tmp_path / "in"
    folder.mkdir()
    plane = (
        '<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8"'
        ' SizeX="30" SizeY="20" SizeZ="2" SizeC="1" SizeT="1">'
        f"{plane.format(z=0, name='a.ome.tif')}"
        f"{plane.format(z=1, name='../outside.tif')}</Pixels></Image></OME>"
    )
    tifffile.imwrite(folder / "a.ome.tif", GREY, description=xml, metadata=None)
    image = read_image(folder / "a.ome.tif")
    assert np.array_equal(image.array, GREY[None])
    assert "names other files" in image.notes[0]


def directory(tags, following, order="<"):
    body = b"".join(struct.pack(order + "HHII", *tag) for tag in tags)
    return struct.pack(order + "H", len(tags)) + body + struct.pack(order + "I", following)


def tiny(width=4, height=4, counts=16, offset=8):
    return [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, counts)]  # fmt: skip


@pytest.mark.parametrize("length", [1, 2, 150])
def test_directory_loop(tmp_path, length):
    step = len(directory(tiny(), 0))
    starts = [24 + step * at for at in range(length)]
    content = b"II*\0" + struct.pack("<I", 24) + bytes(16)
    for at in range(length):
        content += directory(tiny(), starts[(at + 1) % length])
    (tmp_path / "a.tif").write_bytes(content)
    for verb in (read_image, probe):
        with pytest.raises(ImageError, match="loop"):
            verb(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (tiny(100_000, 100_000), "limit of 4 GiB"),
        (tiny(2**32 - 1, 2**32 - 1), "limit of 4 GiB"),
        (tiny(16_000, 16_000), "can hold"),
        (tiny(counts=10**9), "beyond its end"),
        (tiny(offset=10**9), "beyond its end"),
        (tiny(counts=3), "beyond its end"),
        (tiny(40, 40, counts=16), "beyond its end"),
        (tiny(0, 4), "is a damaged|at least one"),
        ([*tiny(), (50_000, 4, 2**32 - 1, 8)], "tag 50000 lies outside"),
        ([*tiny(), *((50_000 + at, 2, 100, 8) for at in range(40))], "tags overlap"),
    ],
)
def test_lying_headers(tmp_path, tags, message):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 24) + bytes(16) + directory(tags, 0))
    start = time.process_time()
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.tif")
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "content", [b"II*\0", b"II*\0\0\0\0\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 20]
)
def test_no_directory(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("count", [0, 5, 8])
def test_palette_of_a_wrong_size(tmp_path, count):
    tags = [
        *((tag, kind, many, 3 if tag == 262 else value) for tag, kind, many, value in tiny()),
        (320, 3, count, 8),
    ]
    content = b"II*\0" + struct.pack("<I", 24) + bytes(16) + directory(tags, 0)
    (tmp_path / "a.tif").write_bytes(content)
    for verb in (read_image, read_indices):
        with pytest.raises(ImageError, match=r"palette|damaged"):
            verb(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw", "rowsperstrip": 4}])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_cut_short(write, options, kept):
    path = write(STACK, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    try:
        image = read_image(path)
    except ImageError:
        return
    assert kept > 0.99
    assert np.array_equal(image.array[0], STACK), "only what no pixel needs was lost"


def test_a_fourth_plane_is_a_channel_though_tifffile_calls_it_alpha(write):
    image = read(write(np.ascontiguousarray(STACK[:4])))
    assert np.array_equal(image.array, STACK[:4])
    assert image.notes == ()


def test_a_fourth_sample_of_16_bit_is_left_out_and_told(write):
    image = read(write(np.ascontiguousarray(np.moveaxis(STACK[:4], 0, -1)), photometric="rgb"))
    assert np.array_equal(image.array, STACK[:3])
    assert "if it was measured" in image.notes[0]
