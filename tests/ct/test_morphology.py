import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hilum.ct.morphology import dilate, erode

SPACING = np.array([2.0, 1.0, 0.5])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), radius=st.floats(0.3, 6.0), share=st.floats(0.001, 0.999))
def test_as_by_distances(seed, radius, share):
    """The whole distance map, which is slower, tells the same voxels."""
    mask = np.random.default_rng(seed).random((6, 9, 12)) < share
    if not 0 < mask.sum() < mask.size:
        return
    away = ndimage.distance_transform_edt(~mask, sampling=SPACING)
    deep = ndimage.distance_transform_edt(mask, sampling=SPACING)
    clear = min(abs(away[away > 0] - radius).min(), abs(deep[deep > 0] - radius).min()) > 1e-4
    if clear:
        assert (dilate(mask, radius, SPACING) == (away <= radius)).all()
        assert (erode(mask, radius, SPACING) == (deep > radius)).all()


@pytest.mark.parametrize("change", [dilate, erode])
def test_nothing_stays_nothing_and_all_stays_all(change):
    nothing = np.zeros((3, 4, 5), bool)
    assert not change(nothing, 2.0, SPACING).any()
    assert change(~nothing, 2.0, SPACING).all()
