import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.errors import HilumError
from hilum.studio.spans import from_bytes, from_text, spans_of, to_bytes, to_text, toggled

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@settings(max_examples=40)
@given(masks)
def test_spans_of_a_mask_bring_it_back(mask):
    assert (toggled(np.zeros_like(mask), spans_of(mask)) == mask).all()


@settings(max_examples=40)
@given(masks, st.randoms())
def test_the_same_stroke_twice_is_as_before(mask, random):
    change = np.array([random.random() < 0.4 for _ in range(mask.size)], bool).reshape(mask.shape)
    once = toggled(mask, spans_of(change))
    assert (once == mask ^ change).all()
    assert (toggled(once, spans_of(change)) == mask).all()


def test_spans_that_touch_and_are_out_of_order_are_all_done():
    spans = np.array([[4, 2], [0, 2], [2, 2]], np.uint32)
    assert toggled(np.zeros((2, 4), bool), spans).ravel().tolist() == [True] * 6 + [False] * 2


def test_bytes_and_text_bring_spans_back():
    spans = spans_of(np.eye(5, dtype=bool))
    assert (from_bytes(to_bytes(spans), 25) == spans).all()
    assert (from_text(to_text(spans), 25) == spans).all()


@pytest.mark.parametrize(
    "content",
    [b"\0" * 7, to_bytes(np.array([[20, 6]])), to_bytes(np.array([[2**32 - 1, 2**32 - 1]])), b"\0" * 8],
)
def test_what_is_no_stroke_in_this_image_is_refused(content):
    with pytest.raises(HilumError, match="stroke"):
        from_bytes(content, 25)


@pytest.mark.parametrize("text", ["!", "AAA", "AAAA"])
def test_damaged_text_is_refused(text):
    with pytest.raises(HilumError):
        from_text(text, 25)
