import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hilum.image.resampling import linear_window, needed_part, resized_window, shrinks

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


@given(sizes, sizes, st.data())
@settings(max_examples=150, deadline=None)
def test_any_window_equals_that_of_the_whole(shape_in, shape_out, data):
    rng = np.random.default_rng(sum(shape_in) * 61 + sum(shape_out))
    x = torch.from_numpy(rng.integers(0, 256, (2, *shape_in)).astype(np.float32))
    pairs = [st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True) for size in shape_out]
    ends = [sorted(data.draw(pair)) for pair in pairs]
    window = (*ends[0], *ends[1])
    mode = "area" if shrinks(shape_in, shape_out) else "bilinear"
    whole = F.interpolate(x[None], shape_out, mode=mode)[0]
    top, bottom, left, right = needed_part(shape_in, shape_out, window)
    found = resized_window(x[:, top:bottom, left:right], (top, left), shape_in, shape_out, window)
    torch.testing.assert_close(
        found, whole[:, window[0] : window[1], window[2] : window[3]], atol=1e-3, rtol=0
    )
    every = (0, shape_out[0], 0, shape_out[1])
    own = resized_window(x, (0, 0), shape_in, shape_out, every)
    assert torch.equal(found, own[:, window[0] : window[1], window[2] : window[3]])


@pytest.mark.parametrize("shape", [(7, 9), (64, 128), (200, 100)])
def test_linear_windows_grow_and_shrink_alike(shape):
    x = torch.rand(1, 32, 48, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(x[None], shape, mode="bilinear")[0]
    found = linear_window(x, shape, (2, shape[0] - 1, 1, shape[1]))
    torch.testing.assert_close(found, whole[:, 2 : shape[0] - 1, 1:], atol=1e-5, rtol=0)
