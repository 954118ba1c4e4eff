import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from hilum.exchange.outlines import Outliner, ring_area
from hilum.exchange.rasters import filled
from hilum.measurement.stitching import Stitcher


def outlines(mask, block=None):
    block = block or max(mask.shape)
    stitcher, outliner = Stitcher(mask.shape), Outliner(mask.shape)
    for y, x in itertools.product(range(0, mask.shape[0], block), range(0, mask.shape[1], block)):
        part = mask[y : y + block, x : x + block]
        outliner.add(y, x, part.shape, stitcher.add(y, x, part))
    return list(outliner.outlines(stitcher.final_numbers()))


def rings_of(found):
    return [[ring.astype(float) for ring in polygon] for one in found for polygon in one.polygons]


masks = hnp.arrays(bool, st.tuples(st.integers(1, 16), st.integers(1, 16)))


@given(masks, st.integers(1, 9))
@settings(max_examples=120, deadline=None)
def test_outlines_filled_again_are_the_mask(mask, block):
    found = outlines(mask, block)
    assert (filled(mask.shape, rings_of(found)) == mask).all()
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    assert [one.number for one in found] == list(range(1, count + 1))
    for one in found:
        assert one.area == (labels == one.number).sum()


@given(masks)
@settings(max_examples=120, deadline=None)
def test_no_ring_meets_itself_and_a_polygon_is_one_piece(mask):
    for polygon in rings_of(outlines(mask)):
        for ring in polygon:
            assert len({tuple(point) for point in ring}) == len(ring)
        assert ring_area(polygon[0]) > 0
        assert all(ring_area(hole) < 0 for hole in polygon[1:])
        alone = filled(mask.shape, [polygon])
        assert ndimage.label(alone)[1] == 1
        assert alone.sum() == ring_area(polygon[0]) + sum(map(ring_area, polygon[1:]))


def test_a_square_with_a_hole_by_hand():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    (only,) = outlines(mask)
    ((outer, hole),) = only.polygons
    assert {tuple(point) for point in outer.tolist()} == {(0, 0), (3, 0), (3, 3), (0, 3)}
    assert {tuple(point) for point in hole.tolist()} == {(1, 1), (2, 1), (2, 2), (1, 2)}
    assert only.area == 8


def test_pixels_that_touch_by_a_corner_are_two_polygons_of_one_region():
    (only,) = outlines(np.eye(2, dtype=bool))
    assert len(only.polygons) == 2
    assert only.area == 2


def test_nothing_has_no_outline():
    assert outlines(np.zeros((4, 4), bool)) == []
