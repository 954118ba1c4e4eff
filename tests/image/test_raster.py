"""PNG, JPEG, BMP and GIF: every mode, orientation, spacing, and the 16 bits that must stay."""

import struct
import time
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from hilum.errors import ImageError
from hilum.image.readers import probe, read_image, read_indices

rng = np.random.default_rng(1)
COLOUR = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.arange(0, 240, 8, dtype=np.uint8), (20, 30))
MODES = [
    *(("png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")),
    *(("bmp", mode) for mode in ("1", "L", "P", "RGB", "RGBA")),
    *(("gif", mode) for mode in ("1", "L", "P", "RGB")),
]


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, depth, kind, rows, interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def header_matches(path, index=None):
    image, header = read_image(path, index=index), probe(path, index=index)
    stated = (header.channels, header.shape, header.dtype, header.spacing)
    return stated == (image.channels, image.shape, image.array.dtype, image.spacing)


@pytest.mark.parametrize(("suffix", "mode"), MODES)
def test_every_lossless_mode_reads_as_pillow_shows_it(tmp_path, suffix, mode):
    path = tmp_path / f"a.{suffix}"
    deep = mode in ("I;16", "I")
    picture = (
        Pillow.fromarray(COLOUR[..., 0].astype(np.uint16) * 257)
        if deep
        else Pillow.fromarray(COLOUR).convert(mode)
    )
    picture.save(path)
    image = read_image(path)
    shown = Pillow.open(path)
    if deep:
        assert image.array.dtype == np.uint16
        assert np.array_equal(image.array[0], COLOUR[..., 0].astype(np.uint16) * 257)
    else:
        grey = image.channels == 1
        assert np.array_equal(
            np.moveaxis(image.array, 0, -1).squeeze(), np.asarray(shown.convert("L" if grey else "RGB"))
        )
    assert header_matches(path)
    assert image.array.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes_are_close(tmp_path, mode):
    picture = Pillow.fromarray(SMOOTH).convert(mode)
    picture.save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg")
    expected = np.asarray(picture.convert("L" if mode == "L" else "RGB")).astype(int)
    assert np.abs(np.moveaxis(image.array, 0, -1).squeeze() - expected).max() < 12
    assert any("CMYK" in note for note in image.notes) == (mode == "CMYK")
    assert header_matches(tmp_path / "a.jpg")


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_sixteen_bit_colour_stays_sixteen_bit(tmp_path, samples):
    array = rng.integers(0, 65_536, (20, 30, samples), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    image = read_image(tmp_path / "a.png")
    kept = 1 if samples == 2 else 3
    assert image.array.dtype == np.uint16
    assert np.array_equal(image.array, np.moveaxis(array, -1, 0)[:kept])
    assert bool(image.notes) == (samples != 3)
    assert header_matches(tmp_path / "a.png")


def test_sixteen_bit_interlaced(tmp_path):
    array = rng.integers(0, 65_536, (9, 11, 3), dtype=np.uint16)
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for top, left, down, right in passes
        for row in array[top::down, left::right]
        if row.size
    )
    (tmp_path / "a.png").write_bytes(png(11, 9, 16, 2, rows, interlaced=1))
    assert np.array_equal(read_image(tmp_path / "a.png").array, np.moveaxis(array, -1, 0))


def test_alpha_is_left_out_unless_it_is_the_picture(tmp_path):
    drawing = np.zeros((20, 30, 4), np.uint8)
    drawing[..., 3] = COLOUR[..., 0]
    Pillow.fromarray(drawing).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.array, COLOUR[None, ..., 0])
    assert "alpha" in image.notes[0]
    drawing[..., :3] = COLOUR
    Pillow.fromarray(drawing).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.array, np.moveaxis(COLOUR, -1, 0))
    assert "left out" in image.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_orientation(tmp_path, orientation, suffix):
    path = tmp_path / f"a.{suffix}"
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(SMOOTH).save(path, exif=exif, dpi=(20_000, 40_000))
    image = read_image(path)
    assert np.array_equal(image.array[0], np.asarray(ImageOps.exif_transpose(Pillow.open(path))))
    assert np.array_equal(read_indices(path).array, image.array)
    upright = image.spacing.sizes if orientation <= 4 else image.spacing.sizes[::-1]
    assert upright == pytest.approx((0.635, 1.27), rel=1e-4)
    assert bool(image.notes) == (orientation > 1)
    assert header_matches(path)


@pytest.mark.parametrize(
    ("suffix", "dpi", "sizes"),
    [
        ("png", (39_077, 39_077), (0.65, 0.65)),
        ("png", (20_000, 40_000), (0.635, 1.27)),
        ("bmp", (25_400, 25_400), (1.0, 1.0)),
        ("jpg", (25_400, 25_400), (1.0, 1.0)),
        *(
            (suffix, (dpi, dpi), None)
            for suffix in ("png", "jpg", "bmp")
            for dpi in (72, 96, 150, 300, 600, 1200)
        ),
        ("gif", (25_400, 25_400), None),
    ],
)
def test_spacing_where_it_is_physical(tmp_path, suffix, dpi, sizes):
    Pillow.fromarray(SMOOTH).save(tmp_path / f"a.{suffix}", dpi=dpi)
    spacing = read_image(tmp_path / f"a.{suffix}").spacing
    if sizes is None:
        assert not spacing.known
    else:
        assert spacing.unit == "um"
        assert spacing.sizes == pytest.approx(sizes, rel=1e-3)


def test_frames(tmp_path):
    frames = [Pillow.fromarray(np.full((8, 9), 40 * at, np.uint8)) for at in range(3)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert probe(path).frames == 3
    assert "first of 3 frames" in read_image(path).notes[0]
    assert read_image(path, index=2).array.max() == 80
    assert header_matches(path, index=1)
    with pytest.raises(ImageError, match="index 0 to 2"):
        read_image(path, index=3)
    with pytest.raises(ImageError, match="no entry"):
        read_image(path, entry="x")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (20_001, 20_000)])
def test_pixel_bomb(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size, 1, 0, b"\0" * 1000))
    start = time.process_time()
    for verb in (read_image, probe):
        with pytest.raises(ImageError, match="limit of 400 million"):
            verb(path)
    assert time.process_time() - start < 1


def test_small_file_with_a_large_claim(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20_000, 20_000, 8, 2, b"\0" * 1000))
    with pytest.raises(ImageError, match="can hold"):
        read_image(tmp_path / "a.png")


def test_no_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0, 5, 8, 0, b""))
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_cut_short(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Pillow.fromarray(COLOUR).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ImageError, match="cut short"):
        read_image(path)


def test_frame_larger_than_its_canvas(tmp_path):
    frames = [Pillow.fromarray(np.full((8, 9), 40 * at, np.uint8)) for at in range(2)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    content = bytearray(path.read_bytes())
    at = content.rindex(b",\0\0\0\0\x09\0\x08\0")
    content[at + 5 : at + 9] = struct.pack("<HH", 12_000, 12_000)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="can hold"):
        read_image(path, index=1)


def test_one_pixel(tmp_path):
    Pillow.fromarray(SMOOTH[:1, :1]).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").array.tolist() == [[[0]]]
