"""Files made to harm: each is refused at once, with little memory, by a HilumError that names it."""

import gzip
import io
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.errors import HilumError, StudyError
from hilum.files import write_json
from hilum.image.readers import probe, read_image
from hilum.study.open import open_study, understand
from hilum.study.record import study_to_json

MOST_MIB = 256
MOST_S = 5.0


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def huge_png(side=100_000):
    """A valid 1 kB file that declares 100,000 x 100,000 pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def looped_tiff():
    """A TIFF whose second directory is its first again."""
    handle = io.BytesIO()
    tifffile.imwrite(handle, np.zeros((8, 8), np.uint8), metadata=None)
    content = bytearray(handle.getvalue())
    first = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * entries, first)
    return bytes(content)


def nifti(shape, kind=4, bits=16):
    """A NIfTI-1 header of this shape with a few voxels."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<f", head, 108, 352.0)
    head[344:348] = b"n+1\0"
    return bytes(head) + bytes(64)


def npy(shape, kind="<f8"):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)


def zip_bomb(name="0.dcm", size=200_000_000):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(128) + b"DICM" + bytes(size))
    return content.getvalue()


def bmp(width, height):
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(side=65_535):
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", side, side, 0x80, 0, 0)
        + bytes(6)
        + b",\0\0\0\0\xff\xff\xff\xff\0\x02;"
    )


HOSTILE = {
    "huge.png": huge_png(),
    "looped.tif": looped_tiff(),
    "negative.nii": nifti((-4, 5, 6)),
    "zero.nii": nifti((0, 5, 6)),
    "huge.nii": nifti((32_767, 32_767, 32_767)),
    "huge.nii.gz": gzip.compress(nifti((32_767, 32_767, 3))),
    "huge.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 99999 99999 99999\nElementType = MET_SHORT\n"
    b"ElementDataFile = LOCAL\n\0\0",
    "negative.mhd": b"ObjectType = Image\nNDims = 3\nDimSize = -1 5 5\nElementType = MET_SHORT\n"
    b"ElementDataFile = /etc/passwd\n",
    "outside.mhd": b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    b"ElementDataFile = ../../../../../../etc/passwd\n",
    "outside.nhdr": b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
    b"data file: /etc/passwd\n\n",
    "huge.nrrd": b"NRRD0004\ntype: double\ndimension: 3\nsizes: 90000 90000 90000\nencoding: raw\n\n\0\0",
    "huge.npy": npy((1 << 40,)),
    "negative.npy": npy((-5, 5)),
    "objects.npy": npy((1,), "|O"),
    "bomb.zip": zip_bomb(),
    "huge.bmp": bmp(2_000_000_000, 2_000_000_000),
    "negative.bmp": bmp(-5, 5),
    "huge.gif": gif(),
    "empty.png": b"",
    "text.dcm": b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_at_once_with_little_memory(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for verb in (read_image, probe):
        with pytest.raises(HilumError, match=name.replace(".", r"\.")):
            verb(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MOST_MIB
    assert time.process_time() - began < MOST_S


def test_a_flipped_bit_among_the_pixels_of_a_png_is_always_seen(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (9, 11), dtype=np.uint8)
    path = tmp_path / "a.png"
    Pillow.fromarray(noise).save(path)
    whole = path.read_bytes()
    first, last = whole.index(b"IDAT"), whole.index(b"IEND")
    for at in range(first, last - 4):
        content = bytearray(whole)
        content[at] ^= 1 << (at % 8)
        path.write_bytes(bytes(content))
        with pytest.raises(HilumError, match=r"a\.png"):
            read_image(path)


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 255, (12, 14, 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(path)


def mask(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = np.zeros((12, 14), np.uint8)
    inside[3:8, 4:9] = 255
    Pillow.fromarray(inside).save(path)


def test_symlink_loops_end(tmp_path):
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
        mask(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path)
    (tmp_path / "me").symlink_to(tmp_path / "me")
    (tmp_path / "masks" / "up").symlink_to("..")
    assert len(open_study(tmp_path).cases) == 3


ODD = [
    "a\nb",
    "<script>alert(1)<_script>",
    "肺-µ",
    "x" * 251,
    "a" * 125 + "é" * 60,
    "=1+1",
    "-rf",
    "..a",
    "\u202eabc",
    "a\x1b[31m",
    "a b ",
    "con",
    "a\\b",
    "'; drop",
]


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_become_cases_with_safe_names(tmp_path, odd):
    for name in (odd, "1", "2"):
        picture(tmp_path / "images" / f"{name}.png", len(name))
        mask(tmp_path / "masks" / f"{name}.png")
    names = [case.name for case in understand(tmp_path).cases]
    if odd.startswith("."):
        assert len(names) == 2
        return
    assert len(set(names)) == 3
    for name in names:
        assert len(f"{name}.nii.gz".encode()) <= 255
        assert not name.startswith((".", "/"))
        assert not any(ord(letter) < 32 for letter in name)


def test_names_that_are_no_text_are_told_or_read(tmp_path):
    picture(tmp_path / "images" / "1.png")
    mask(tmp_path / "masks" / "1.png")
    try:
        (tmp_path / "images" / "1.png").rename(tmp_path / "images" / "\udcff.png")
        (tmp_path / "masks" / "1.png").rename(tmp_path / "masks" / "\udcff.png")
    except OSError:
        pytest.skip("this file system takes names of text only")
    (case,) = understand(tmp_path).cases
    case.name.encode()
    for thorough in (True, False):
        with pytest.raises(StudyError, match=r"\\udcff\.png: its name is not UTF-8.*rename"):
            open_study(tmp_path, thorough=thorough)
    picture(tmp_path / "images" / "2.png")
    mask(tmp_path / "masks" / "2.png")
    study = open_study(tmp_path, skip_bad=True)
    assert [one.name for one in study.cases] == ["2"]
    write_json(tmp_path / "study.json", study_to_json(study))
