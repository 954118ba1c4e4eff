"""Limits and the messages of damaged files."""

import pytest

from hilum.errors import HilumError, ImageError
from hilum.image.limits import (
    FLOOR_BYTES,
    LIMIT_BYTES,
    check_index,
    check_no_entry,
    check_size,
    decoding,
    shown,
)


def test_names_become_one_printable_line():
    assert shown("a\nb\x1b[0m.png") == "a\\nb\\x1b[0m.png"
    assert shown("Lunge_µ_肺.png") == "Lunge_µ_肺.png"
    shown("bad\udcff.png").encode()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_no_pixels(tmp_path, shape):
    with pytest.raises(ImageError, match="at least one"):
        check_size(tmp_path, shape, 1)


def test_limits_are_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ImageError, match="limit of 400 million"):
        check_size(path, (3, 100_000, 100_000), 1, pixels=True)
    with pytest.raises(ImageError, match="limit of 4 GiB"):
        check_size(path, (LIMIT_BYTES,), 2)
    with pytest.raises(ImageError, match="a file of 100 bytes can hold"):
        check_size(path, (FLOOR_BYTES + 1,), 1)
    check_size(path, (FLOOR_BYTES,), 1)


def test_index_and_entry(tmp_path):
    assert check_index(tmp_path, None, 1) == 0
    assert check_index(tmp_path, 2, 3) == 2
    with pytest.raises(ImageError, match="only index 0"):
        check_index(tmp_path, 1, 1)
    with pytest.raises(ImageError, match="index 0 to 2"):
        check_index(tmp_path, -1, 3)
    with pytest.raises(ImageError, match="no entry 'x'"):
        check_no_entry(tmp_path, "x", "PNG")


def test_decoder_errors_become_one_line(tmp_path):
    with (
        pytest.raises(ImageError, match="damaged or cut short PNG file \\(two lines\\)"),
        decoding(tmp_path, "PNG"),
    ):
        raise RuntimeError("two\n lines")
    with pytest.raises(ImageError, match="not enough memory"), decoding(tmp_path, "PNG"):
        raise MemoryError
    with pytest.raises(ImageError, match="Permission denied"), decoding(tmp_path, "PNG"):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(HilumError, match=r"^as it is$"), decoding(tmp_path, "PNG"):
        raise HilumError("as it is")
