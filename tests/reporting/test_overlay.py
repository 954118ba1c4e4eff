import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ImageError
from hilum.reporting.overlay import CORRECT, FALSE, MISSED, errors_overlay, overlay, paint, target_colours

AREA = "812,345 px² (56.1 %)"


def grey(shape, level=128):
    return np.full((*shape, 3), level, np.uint8)


def test_fill_is_the_mix_of_image_and_colour(disc):
    mask = disc((100, 100), (50, 50), 30)
    painted = paint(grey((100, 100)), {"Liver": mask}, alpha=0.5)
    expected = [round(0.5 * 128 + 0.5 * part) for part in target_colours(["Liver"])["Liver"]]
    assert np.abs(painted[50, 50].astype(int) - expected).max() <= 1
    assert (painted[~mask] == 128).all()


def test_outline_has_the_full_colour_and_lies_inside(disc):
    mask = disc((100, 100), (50, 50), 30)
    painted = paint(grey((100, 100)), {"Liver": mask}, alpha=0.0)
    changed = (painted != 128).any(axis=2)
    assert changed.any()
    assert not (changed & ~mask).any()
    assert {tuple(pixel) for pixel in painted[changed].tolist()} == {target_colours(["Liver"])["Liver"]}


def test_overlapping_targets_both_keep_their_colour(disc):
    mask = disc((200, 200), (100, 100), 60)
    painted = paint(grey((200, 200)), {"a": mask, "b": mask}, alpha=1.0)
    seen = {tuple(pixel) for pixel in painted[mask].tolist()}
    assert seen == set(target_colours(["a", "b"]).values())


def test_image_is_not_changed(disc):
    image = grey((64, 64))
    paint(image, {"a": disc()})
    errors_overlay(image, disc(), disc(radius=10))
    assert (image == 128).all()


def test_empty_masks_leave_the_picture_alone():
    image = grey((40, 50))
    assert (paint(image, {"a": np.zeros((40, 50), bool)}) == image).all()
    assert (overlay(image, {}) == image).all()


@pytest.mark.parametrize("shape", [(128, 128), (30, 300), (300, 30), (1, 1), (750, 1000)])
def test_legend_lies_outside_the_picture(shape):
    masks = {"Parenchyma": np.zeros(shape, bool), "SevereInflammation": np.zeros(shape, bool)}
    result = overlay(grey(shape), masks, dict.fromkeys(masks, AREA))
    height, width = shape
    assert (result[:height, :width] == 128).all()
    outside = result.copy()
    outside[:height, :width] = 255
    for colour in target_colours(list(masks)).values():
        assert (outside == colour).all(axis=2).any(), "a swatch is missing"
    ink = (outside != 255).any(axis=2)
    assert not ink[:, -1].any(), "the legend is cut off at the right"
    assert not ink[-1].any(), "the legend is cut off at the bottom"


def test_more_targets_make_more_rows_not_a_wider_picture():
    masks = {f"Target {place}": np.zeros((300, 500), bool) for place in range(9)}
    result = overlay(grey((300, 500)), masks, dict.fromkeys(masks, AREA))
    assert result.shape[1] == 500
    assert result.shape[0] > 300 + 4 * 15


def test_very_long_names_are_shortened():
    name = "an exceedingly long name of a target " * 5
    result = overlay(grey((100, 100)), {name: np.zeros((100, 100), bool)})
    assert result.shape[1] < 600


def test_errors_have_three_colours():
    truth, prediction = np.zeros((2, 30, 90), bool)
    truth[:, :60], prediction[:, 30:] = True, True
    painted = errors_overlay(grey((30, 90)), truth, prediction, alpha=1.0)
    assert tuple(painted[15, 15]) == MISSED
    assert tuple(painted[15, 75]) == FALSE
    nearest = min(
        (CORRECT, MISSED, FALSE), key=lambda colour: np.abs(painted[15, 45] - np.array(colour)).sum()
    )
    assert nearest == CORRECT


@pytest.mark.parametrize(
    ("image", "mask"),
    [(np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool)), (grey((9, 9)), np.zeros((9, 8), bool))],
)
def test_shapes_that_disagree_are_errors(image, mask):
    with pytest.raises(ImageError, match=r"shape|needs an image"):
        overlay(image, {"a": mask})


def test_floats_are_no_picture():
    with pytest.raises(ImageError, match="float64"):
        paint(np.zeros((9, 9, 3)), {})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4), st.integers(0, 2**31))
def test_only_masked_pixels_change(height, width, targets, seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    masks = {str(place): generator.random((height, width)) < 0.4 for place in range(targets)}
    painted = paint(image, masks)
    outside = ~np.any(list(masks.values()), axis=0)
    assert (painted[outside] == image[outside]).all()
