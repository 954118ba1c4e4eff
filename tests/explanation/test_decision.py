import numpy as np

from hilum.explanation.decision import at_half, at_working


def test_at_half_after_enlarging():
    probability = np.array([[[0.0, 1.0], [0.0, 1.0]]], np.float32)
    found = at_half(probability, (4, 4))
    assert found.shape == (1, 4, 4)
    assert found[0].tolist() == [[False, False, True, True]] * 4


def test_masks_at_working_resolution_are_what_is_half_covered():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :4, :3] = True
    masks[1, 5, 5] = True
    found = at_working(masks, (4, 4))
    assert found[0].tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2
    assert np.argwhere(found[1]).tolist() == [[2, 2]], "thinner than half a pixel: still there"
    assert not at_working(np.zeros((1, 8, 8), bool), (4, 4)).any()
    assert np.array_equal(at_working(masks, (8, 8)), masks)


def test_masks_of_volumes_at_working_resolution():
    masks = np.zeros((1, 4, 8, 8), bool)
    masks[0, 2:, :4] = True
    found = at_working(masks, (2, 4, 4))
    assert found.shape == (1, 2, 4, 4)
    assert found.sum() == 8
