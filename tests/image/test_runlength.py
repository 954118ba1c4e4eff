"""Run lengths: there and back, by hand, and malformed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hilum.errors import HilumError, ImageError
from hilum.image.runlength import decode, encode


@settings(max_examples=100, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_there_and_back(mask):
    assert np.array_equal(decode(encode(mask), mask.shape), mask)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789 -+.e\n\tx٣", max_size=30))
def test_any_text_is_a_mask_or_a_hilum_error(text):
    try:
        mask = decode(text, (5, 7))
    except HilumError:
        return
    assert mask.shape == (5, 7)
    assert decode(encode(mask), (5, 7)).sum() == mask.sum()


def test_by_hand():
    mask = np.zeros((4, 3), bool)
    mask[1:3, 0] = mask[3, 1] = mask[0, 2] = True
    assert encode(mask) == "2 2 8 2"
    assert encode(np.zeros((4, 3), bool)) == ""
    assert encode(np.ones((4, 3), bool)) == "1 12"
    assert not decode("", (4, 3)).any()
    assert np.array_equal(decode("2 2 8 1 9 1", (4, 3)), mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "no pairs"),
        ("1 2 3", "no pairs"),
        ("a b", "'a' is not a whole number"),
        ("1.5 2", "is not a whole number"),
        ("-1 2", "'-1' is not a whole number"),
        ("nan", "is not a whole number"),
        ("٣ ٤", "is not a whole number"),
        ("0 2", "count from 1"),
        ("2 0", "count from 1"),
        ("1 5 5 2", "run from 5 begins before"),
        ("5 2 1 2", "run from 1 begins before"),
        ("12 2", "has 12 pixels"),
        ("13 1", "has 12 pixels"),
        ("1 999999999999", "has 12 pixels"),
        ("1 99999999999999999999", "is not a whole number"),
        ("1 1 " * 1000, "too long"),
    ],
)
def test_malformed(text, message):
    with pytest.raises(ImageError, match=message):
        decode(text, (4, 3))


@pytest.mark.parametrize("shape", [(0, 5), (-3, -4), (10**6, 10**6)])
def test_shapes(shape):
    with pytest.raises(ImageError, match="is allowed"):
        decode("1 1", shape)


@pytest.mark.parametrize("mask", [np.zeros((2, 2)), np.zeros(4, bool), np.zeros((1, 2, 2), bool)])
def test_only_masks(mask):
    with pytest.raises(ImageError, match="Y, X"):
        encode(mask)
