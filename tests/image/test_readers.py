"""The registry: which reader is chosen, and what is said when none is."""

import os
import shutil
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import ImageError
from hilum.image.readers import (
    IMAGE_SUFFIXES,
    TABLE,
    Header,
    choose_reader,
    expand_palette,
    load_reader,
    probe,
    read_image,
    read_indices,
    readable,
)

GREY = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "a.png"
    Pillow.fromarray(GREY).save(path)
    return path


@pytest.mark.parametrize(("target", "suffixes"), TABLE)
def test_table_agrees_with_readers(target, suffixes):
    reader = load_reader(target)
    assert set(reader.suffixes) == set(suffixes)
    assert not reader.sniff(b"")
    assert not reader.sniff(b"hello, this is a text " * 20)


def test_suffixes_are_known_once():
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert all(readable(f"a{suffix.upper()}") for suffix in IMAGE_SUFFIXES)


def test_reads_by_name(png):
    image = read_image(png)
    assert np.array_equal(image.array[0], GREY)
    assert image.path == png
    assert image.notes == ()
    assert probe(str(png)) == Header(1, (20, 30), np.dtype(np.uint8), image.spacing)


@pytest.mark.parametrize(
    ("kind", "name"), [("JPEG", "a.png"), ("TIFF", "a.jpg"), ("PNG", "a.tif"), ("GIF", "a.npy")]
)
def test_signature_wins_over_extension_and_is_noted(tmp_path, kind, name):
    Pillow.fromarray(GREY).save(tmp_path / name, kind)
    image = read_image(tmp_path / name)
    assert image.shape == (20, 30)
    assert f"is a {kind} file by its signature" in image.notes[0]


def test_file_without_extension_is_read_by_signature(png, tmp_path):
    shutil.copy(png, tmp_path / "IM0001")
    assert read_image(tmp_path / "IM0001").notes == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "is empty"),
        ("a.png", b"Dear all,\nhere is", "is not a PNG file but a text file .it begins with 'Dear all,"),
        ("a.png", bytes(range(128, 255)), "is not a PNG file but something else"),
        ("a.tif", b"II*", "is not a TIFF file"),
        ("a.txt", b"hello", "no kind of image that is known.*Known are .bmp"),
        ("a", b"\0" * 100, "no kind of image that is known"),
    ],
)
def test_what_is_no_image_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(ImageError, match=message):
        probe(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "b" / "a.png")


def test_strange_paths(tmp_path, png):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for path in (
        tmp_path / "loop.png",
        tmp_path / "pipe.png",
        tmp_path / "nul\0.png",
        tmp_path / ("a" * 300),
    ):
        with pytest.raises(ImageError, match=r"cannot be opened|a device or a pipe"):
            read_image(path)
    for name in ("new\nline.png", "肺 µ.png", "a" * 251 + ".png", "<script>.png"):
        shutil.copy(png, tmp_path / name)
        assert read_image(tmp_path / name).shape == (20, 30)
    (tmp_path / "bad\nline.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"bad\\nline.png"):
        read_image(tmp_path / "bad\nline.png")


def test_folder_goes_to_dicom(tmp_path):
    assert choose_reader(tmp_path)[0].name == "DICOM"
    with pytest.raises(ImageError):
        read_image(tmp_path)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_palette_is_kept_or_expanded(tmp_path):
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0)),
        chunk(b"PLTE", bytes([9, 8, 7, 255, 0, 0, 0, 255, 0])),
        chunk(b"IDAT", zlib.compress(b"\0\0\1\0\2\5")),
        chunk(b"IEND", b""),
    ]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    kept = read_indices(tmp_path / "a.png")
    assert kept.array.tolist() == [[[0, 1], [2, 5]]]
    assert kept.palette[:3].tolist() == [[9, 8, 7], [255, 0, 0], [0, 255, 0]]
    image = read_image(tmp_path / "a.png")
    assert image.palette is None
    assert image.array[:, 0, 0].tolist() == [9, 8, 7]
    assert image.array[:, 1, 0].tolist() == [0, 255, 0]
    assert image.array[:, 1, 1].tolist() == [0, 0, 0]
    assert probe(tmp_path / "a.png").palette
    assert expand_palette(image) is image
    with pytest.raises(ImageError, match="holds no colours"):
        expand_palette(replace(kept, palette=kept.palette[:0]))


@pytest.mark.real
def test_real_files(data):
    lung = read_image(data / "lung_flu/train/Original_0.2/12_KO_FLU_1.jpg")
    assert lung.array.shape == (3, 1040, 1392)
    assert not lung.spacing.known
    mask = read_indices(data / "us_regional/masks/0000.png")
    assert set(np.unique(mask.array)) <= {0, 1, 2}
    assert mask.palette is not None
    nerve = read_image(data / "us_nerve/original_tif_samples/1_1.tif")
    assert nerve.array.shape == (1, 420, 580)
    assert not nerve.spacing.known
    chest = data / "pneumoniamnist/pneumoniamnist.npz"
    assert read_image(chest, "test_images", 623).array.shape == (1, 28, 28)
    assert probe(chest, "train_images", 0).frames == 4708
