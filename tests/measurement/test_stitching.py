import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from hilum.errors import HilumError
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.regions import measure_regions
from hilum.measurement.stitching import Stitcher


def cuts(size, rng, most):
    """A partition of `size` into parts of 1 to `most`."""
    ends = [0]
    while ends[-1] < size:
        ends.append(min(size, ends[-1] + int(rng.integers(1, most + 1))))
    return list(itertools.pairwise(ends))


def stitched(mask, seed, most, corners=True, probability=None):
    rng = np.random.default_rng(seed)
    stitcher = Stitcher(mask.shape, corners)
    provisional = np.zeros(mask.shape, np.int64)
    for y0, y1 in cuts(mask.shape[0], rng, most):
        for x0, x1 in cuts(mask.shape[1], rng, most):
            own = None if probability is None else probability[y0:y1, x0:x1]
            found = stitcher.add(y0, x0, mask[y0:y1, x0:x1], own)
            provisional[y0:y1, x0:x1] = 0 if found is None else found
    return stitcher, stitcher.final_numbers()[provisional]


masks = hnp.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)))


@given(masks, st.integers(0, 2**32), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_any_blocks_give_the_regions_of_the_whole(mask, seed, most):
    spacing = Spacing((0.5, 0.7), "um")
    probability = np.random.default_rng(seed).integers(0, 256, mask.shape, dtype=np.uint8)
    found, _ = stitched(mask, seed, most, probability=probability)
    assert found.regions(spacing) == measure_regions(mask, spacing, probability)
    assert found.pixels == mask.sum()


@given(masks, st.integers(0, 2**32), st.integers(1, 12), st.booleans())
@settings(max_examples=40, deadline=None)
def test_numbers_are_those_of_labelling_the_whole(mask, seed, most, corners):
    structure = np.ones((3, 3)) if corners else ndimage.generate_binary_structure(2, 1)
    assert (stitched(mask, seed, most, corners)[1] == ndimage.label(mask, structure)[0]).all()


def test_a_spiral_through_every_block_is_one_region():
    mask = np.zeros((40, 40), bool)
    for ring in range(0, 20, 4):
        mask[ring, ring : 40 - ring] = mask[ring : 40 - ring, 39 - ring] = True
        mask[39 - ring, ring : 40 - ring] = mask[ring + 2 : 40 - ring, ring] = True
        mask[ring + 2, ring : ring + 5] = True
    whole = measure_regions(mask, unknown_spacing(2))
    found, _ = stitched(mask, 3, 7)
    assert [region.pixels for region in found.regions(unknown_spacing(2))] == [r.pixels for r in whole]


def test_no_probability_is_nan_and_nothing_is_no_region():
    mask = np.zeros((5, 5), bool)
    assert stitched(mask, 0, 3)[0].regions(unknown_spacing(2)) == []
    mask[2, 2] = True
    assert math.isnan(stitched(mask, 0, 3)[0].regions(unknown_spacing(2))[0].mean_probability)


def test_a_block_out_of_turn_is_refused():
    stitcher = Stitcher((10, 10))
    stitcher.add(0, 0, np.zeros((5, 5), bool))
    with pytest.raises(HilumError, match="0, 5 of 10 x 10 is next"):
        stitcher.add(5, 0, np.zeros((5, 5), bool))
