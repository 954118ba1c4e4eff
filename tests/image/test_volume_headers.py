import gzip

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.image.image import Image
from hilum.image.readers import HEAD_BYTES, VOLUME_SUFFIXES
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.image.volume_headers import check_declared, declared, looks_like_volume


@pytest.fixture
def written(tmp_path):
    def make(suffix, channels=1):
        image = Image(np.ones((channels, 3, 4, 5), np.int16), Spacing((2.5, 1.0, 1.0), "mm"))
        write_volume(tmp_path / f"a{suffix}", image)
        return tmp_path / f"a{suffix}"

    return make


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("channels", [1, 2])
def test_declared_bytes_are_those_on_disk(written, suffix, channels):
    path = written(suffix, channels)
    found = check_declared(path)
    assert found == declared(path)
    assert np.prod([size for size in found.sizes if size > 1]) in (60, 120)
    voxels = 3 * 4 * 5 * 2 * channels
    if suffix == ".nii.gz":
        assert len(gzip.decompress(path.read_bytes())) == found.bytes == voxels + 352
    else:
        assert found.data.stat().st_size == found.offset + found.bytes
        assert found.bytes == voxels
    assert found.spaced


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
def test_signatures(written, suffix):
    assert looks_like_volume(written(suffix).read_bytes()[:HEAD_BYTES])


def test_other_files_are_no_volumes():
    for head in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
        gzip.compress(b"text" * 200),
        b"\x1f\x8b\xff",
        bytes(512),
    ):
        assert not looks_like_volume(head)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("encoding: raw", "encoding: bzip2"), "allowed are raw and gzip"),
        (("type: short", "type: block"), "'block' is not read"),
        (("sizes: 5 4 3", "sizes: 5 -4 3"), "1 or more"),
        (("sizes: 5 4 3", "sizes: 50 4 3"), "1,200 bytes are expected, but 120"),
        (("encoding: raw", "encoding: raw\nbyte skip: 7"), "line skip or byte skip"),
        (("data file: a.raw", "data file: ../a.raw"), "only a file in the same folder"),
        (("data file: a.raw", "data file: LIST"), "list of files"),
    ],
)
def test_nrrd_headers(written, line, message):
    path = written(".nhdr")
    path.write_text(path.read_text().replace(*line))
    with pytest.raises(ImageError, match=message):
        check_declared(path)


@pytest.mark.parametrize("length", [348, 540])
def test_both_kinds_of_nifti(tmp_path, length):
    import struct

    head = bytearray(length + 4)
    head[:4] = struct.pack("<i", length)
    if length == 348:
        head[40:56] = struct.pack("<8h", 3, 2, 3, 4, 1, 1, 1, 1)
        head[70:74] = struct.pack("<2h", 4, 16)
        head[76:108] = struct.pack("<8f", 1, 1, 1, 1, 0, 0, 0, 0)
        head[108:112] = struct.pack("<f", 352)
        head[344:348] = b"n+1\0"
    else:
        head[4:12] = b"n+2\0\r\n\x1a\n"
        head[12:16] = struct.pack("<2h", 4, 16)
        head[16:80] = struct.pack("<8q", 3, 2, 3, 4, 1, 1, 1, 1)
        head[104:168] = struct.pack("<8d", 1, 1, 1, 1, 0, 0, 0, 0)
        head[168:176] = struct.pack("<q", 544)
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(head) + bytes(48))
    assert check_declared(path).sizes == (2, 3, 4)
    assert not check_declared(path).spaced
    head[{348: 123, 540: 500}[length]] = 2
    path.write_bytes(bytes(head) + bytes(48))
    assert check_declared(path).spaced
    path.write_bytes(bytes(head) + bytes(40))
    with pytest.raises(ImageError, match="48 bytes are expected, but 40"):
        check_declared(path)
