"""Orientation from EXIF, against Pillow, and from damaged blocks."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from hilum.image.exif import orientation_of


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_that_pillow_writes(orientation):
    exif = Pillow.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "Maker", orientation, "Software"
    assert orientation_of(exif.tobytes()) == orientation


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("value", "expected"), [(6, 6), (0, 1), (9, 1), (65_535, 1)])
def test_by_hand(order, value, expected):
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    assert orientation_of(magic + struct.pack(order + "IH", 8, 1) + entry) == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0\x08\0\0\0"]))
def test_any_bytes_are_an_orientation(content, start):
    assert 1 <= orientation_of(start + content) <= 8
