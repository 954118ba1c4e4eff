import math

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.scoring.surface import surface_distances, surface_points


def ball(shape, centre, radius):
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    return sum((axis - middle) ** 2 for axis, middle in zip(grid, centre, strict=True)) <= radius**2


def test_hand_worked_anisotropic():
    """Two upright lines of 3 pixels, 4 columns apart, pixels 2 high and 0.5 wide, one shifted a row down."""
    a, b = np.zeros((2, 8, 9), bool)
    a[1:4, 1], b[2:5, 5] = True, True
    found = surface_distances(a, b, (2.0, 0.5))
    # Sideways 4 * 0.5 = 2; the end pixel of each line is one row (2.0) further: sqrt(8).
    forth = [math.sqrt(8), 2, 2]
    assert found.hausdorff == pytest.approx(math.sqrt(8))
    assert found.mean == pytest.approx(sum(forth) / 3)
    assert found.hd95 == pytest.approx(np.percentile(forth, 95))


def test_equal_masks_are_zero_apart():
    mask = ball((20, 20), (9, 9), 5)
    found = surface_distances(mask, mask, (1.0, 1.0))
    assert (found.hd95, found.hausdorff, found.mean) == (0, 0, 0)


@pytest.mark.parametrize("empty", ["prediction", "truth", "both"])
def test_empty_masks_have_no_distance(empty):
    mask, nothing = ball((9, 9), (4, 4), 2), np.zeros((9, 9), bool)
    found = surface_distances(
        mask if empty == "truth" else nothing, mask if empty == "prediction" else nothing, (1.0, 1.0)
    )
    assert math.isnan(found.hd95)
    assert math.isnan(found.mean)


def test_image_border_is_surface():
    assert len(surface_points(np.ones((3, 3), bool), (1, 1))) == 8
    assert len(surface_points(np.ones((3, 3, 3), bool), (1, 1, 1))) == 26


CASES = [
    (ball((60, 70), (30, 30), 14), ball((60, 70), (33, 38), 11), (0.7, 1.3)),
    (ball((60, 70), (2, 30), 14), ball((60, 70), (5, 38), 11) | ball((60, 70), (50, 60), 3), (1.0, 1.0)),
    (ball((16, 30, 30), (8, 14, 14), 6), ball((16, 30, 30), (9, 16, 13), 5), (2.5, 0.7, 0.8)),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("prediction", "truth", "sizes"), CASES)
def test_agrees_with_monai(prediction, truth, sizes):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    pair = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
    found = surface_distances(prediction, truth, sizes)
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(sizes))
    hd = compute_hausdorff_distance(*pair, include_background=True, spacing=list(sizes))
    msd = compute_average_surface_distance(
        *pair, include_background=True, symmetric=True, spacing=list(sizes)
    )
    assert found.hd95 == pytest.approx(hd95.item(), rel=1e-5)
    assert found.hausdorff == pytest.approx(hd.item(), rel=1e-5)
    assert found.mean == pytest.approx(msd.item(), rel=1e-5)


@pytest.mark.parametrize(("prediction", "truth", "sizes"), CASES)
def test_maximum_agrees_with_simpleitk(prediction, truth, sizes):
    import SimpleITK as sitk  # noqa: N813

    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (prediction, truth)]
    for image in images:
        image.SetSpacing(sizes[::-1])
    reference = sitk.HausdorffDistanceImageFilter()
    reference.Execute(*images)
    found = surface_distances(prediction, truth, sizes)
    assert found.hausdorff == pytest.approx(reference.GetHausdorffDistance(), rel=1e-5)


def test_shapes_and_sizes_must_fit():
    mask = np.ones((3, 3), bool)
    with pytest.raises(HilumError, match="3 sizes"):
        surface_distances(mask, mask, (1, 1, 1))
    with pytest.raises(HilumError, match=r"\(3, 3\), \(2, 3\)"):
        surface_distances(mask, mask[:2], (1, 1))
