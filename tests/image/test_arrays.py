"""NPY and NPZ: axes, types, entries, cases, and archives that lie."""

import gc
import io
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.image.arrays import entries, load_array
from hilum.image.readers import probe, read_image

rng = np.random.default_rng(3)


@pytest.fixture
def npy(tmp_path):
    def make(array):
        np.save(tmp_path / "a.npy", array)
        return tmp_path / "a.npy"

    return make


@pytest.mark.parametrize(
    ("shape", "index", "result"),
    [
        ((20, 30), None, (1, 20, 30)),
        ((3, 20, 30), None, (3, 20, 30)),
        ((20, 30, 3), None, (3, 20, 30)),
        ((7, 20, 30), None, (1, 7, 20, 30)),
        ((2, 7, 20, 30), None, (2, 7, 20, 30)),
        ((7, 20, 30, 3), None, (3, 7, 20, 30)),
        ((7, 20, 30), 2, (1, 20, 30)),
        ((3, 20, 30), 2, (1, 20, 30)),
        ((7, 20, 30, 3), 6, (3, 20, 30)),
        ((7, 1, 20, 30), 0, (1, 20, 30)),
    ],
)
def test_axes(npy, shape, index, result):
    array = rng.integers(0, 255, shape, dtype=np.uint8)
    path = npy(array)
    image, header = read_image(path, index=index), probe(path, index=index)
    assert image.array.shape == result == (header.channels, *header.shape)
    case = array if index is None else array[index]
    assert sorted(image.array.ravel()) == sorted(case.ravel())
    if result[0] == 3 and case.shape[-1] == 3:
        assert np.array_equal(image.array, np.moveaxis(case, -1, 0))
    assert bool(image.notes) == (case.ndim == 3 and image.array.ndim == 4)


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((5,), None),
        ((), None),
        ((9, 9, 9, 9), None),
        ((2, 2, 5, 5, 5), None),
        ((5, 6), 0),
        ((7, 5, 5), 7),
        ((0, 5), None),
    ],
)
def test_no_image(npy, shape, index):
    with pytest.raises(ImageError):
        read_image(npy(np.zeros(shape, np.float32)), index=index)


@pytest.mark.parametrize("kind", ["<u1", ">u2", "<i4", ">f4", "<f8", "<f2", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_stay_and_become_native(npy, kind, order):
    array = np.asarray(rng.integers(0, 100, (6, 7)).astype(kind), order=order)
    image = read_image(npy(array))
    assert np.array_equal(image.array[0], array)
    assert image.array.dtype == np.dtype(kind).newbyteorder("=")
    assert image.array.dtype.isnative
    assert image.array.flags.writeable


def test_bool_becomes_zero_and_one(npy):
    mask = rng.random((6, 7)) > 0.5
    image = read_image(npy(mask))
    assert image.array.dtype == np.uint8
    assert np.array_equal(image.array[0], mask)
    assert probe(npy(mask)).dtype == np.uint8


def test_nan_and_infinity_stay(npy):
    array = np.array([[np.nan, np.inf], [-np.inf, 0]], np.float32)
    assert np.array_equal(read_image(npy(array)).array[0], array, equal_nan=True)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[{}]], object),
        np.array([["a"]]),
        np.zeros((2, 2), complex),
        np.zeros((2, 2), "M8[s]"),
        np.zeros((2, 2), [("a", "u1")]),
    ],
)
def test_only_numbers(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ImageError, match=r"whole numbers, floats or bool|damaged"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives(tmp_path, save):
    path = tmp_path / "a.npz"
    images = rng.integers(0, 255, (7, 20, 30), dtype=np.uint8)
    save(path, images=images, labels=np.arange(7))
    assert entries(path) == ("images", "labels")
    assert probe(path, "images").entries == ("images", "labels")
    for index in (0, 6, 3):
        assert np.array_equal(read_image(path, "images", index).array[0], images[index])
    assert load_array(path, "labels").tolist() == list(range(7))
    with pytest.raises(ImageError, match="several entries; name one of those it holds: images, labels"):
        read_image(path)
    with pytest.raises(ImageError, match=r"no entry 'masks'.*images, labels"):
        read_image(path, "masks")
    save(path, only=images)
    assert read_image(path).array.shape == (1, 7, 20, 30)


def test_a_case_can_be_changed_without_harm(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros((5, 6, 7), np.uint8))
    read_image(path, index=2).array[:] = 9
    assert read_image(path, index=2).array.max() == 0
    np.savez(path, images=np.full((5, 6, 8), 4, np.uint8))
    assert read_image(path, index=2).array.max() == 4


def header(shape):
    handle = io.BytesIO()
    np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return handle.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**62, 8), (100, 100), (-5, -5), (-1, 5)])
def test_lying_header(tmp_path, shape):
    content = header(shape) + bytes(50)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ImageError):
            read_image(tmp_path / name)
        with pytest.raises(ImageError):
            probe(tmp_path / name)


def test_zip_bomb(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(header((9000, 10_000)))
        for _ in range(9):
            member.write(bytes(10**7))
    content = bytearray(path.read_bytes())
    assert read_image(path).shape == (9000, 10_000)
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = b"\xf0\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        load_array(path, "a")


def test_unusual_packing(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", header((2, 2)) + bytes(4))
    with pytest.raises(ImageError, match="packed unusually"):
        read_image(tmp_path / "a.npz")


def test_checksum_is_compared(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros((9, 9), np.uint8))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"\x93NUMPY") + 140] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ImageError, match="CRC"):
        read_image(tmp_path / "a.npz")


def test_headers_are_read_by_many_threads_at_once(npy):
    """Python counts the depth of syntax trees for all threads together: without a lock some reads fail."""
    path = npy(np.zeros((3, 20, 30), np.uint8))

    def switch_threads(phase, info):
        for _ in range(100):
            pass

    def read(deeper):
        return read(deeper - 1) if deeper else [probe(path, None, 1).shape for _ in range(250)]

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(switch_threads)
    gc.freeze()  # collections, in which threads switch, are to be many and small
    try:
        sys.setswitchinterval(1e-6)
        gc.set_threshold(5)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(read, (0, 3, 6, 9)))
    finally:
        gc.callbacks.remove(switch_threads)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)
    assert {shape for shapes in found for shape in shapes} == {(20, 30)}
