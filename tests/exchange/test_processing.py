import math

import numpy as np
import pytest
import torch

from hilum.ct.hounsfield import clean_array
from hilum.exchange.processing import before, second_stage
from hilum.image.spacing import Spacing
from hilum.planning.plan import Plan
from hilum.tasks.candidates import combined
from hilum.tasks.scans import resampled
from hilum.training.prepare import working_shape


def step(content, name):
    (found,) = [words for words in content["steps"] if words.startswith(f"{name}:")]
    return found


def names(content):
    return [words.split(":")[0] for words in content["steps"]]


def detector(**data):
    plan = Plan(task="detect")
    plan.data.channels, plan.data.normalise, plan.data.neighbours = 1, "window", 2
    plan.data.spacing, plan.data.lungs, plan.data.window = [2.0, 1.0, 1.0], "crop", [-1000.0, 400.0]
    for key, value in data.items():
        setattr(plan.data, key, value)
    return plan


def test_a_scan_is_cut_cleaned_and_resampled_in_this_order():
    content = before(detector())
    assert names(content) == ["channels", "lungs", "air", "spacing", "intensities", "slices"]
    assert "antialias=True" in step(content, "spacing")
    assert "area means" not in step(content, "spacing")


def test_only_what_happens_to_a_scan_is_named():
    assert names(before(detector(lungs="none", neighbours=0)))[:3] == ["channels", "air", "spacing"]
    assert "blank" in names(before(detector(lungs="classic")))
    assert "antialias=True" in step(before(detector(spacing=None)), "size")


def test_the_words_on_air_are_those_of_the_scans():
    assert step(before(detector()), "air").endswith(
        "below -1200 become -1000, the others are cut to -1024 .. 3071"
    )
    found = clean_array(np.float32([-1201, -1200, -1100, 4000]))
    assert found.tolist() == [-1000, -1024, -1024, 3071]


def triangles(side, wanted):
    """Weights (wanted, side) of a linear interpolation whose triangle widens where the axis shrinks."""
    step = side / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(side) - centres) / max(1, step))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("shape", [(7, 5, 9), (20, 13, 15), (9, 20, 6)])
def test_the_words_on_resampling_are_those_of_the_scans(shape):
    """The words, followed in NumPy: linearly between centres, shrinking axes with a wider triangle."""
    volume = torch.rand(14, 13, 15, generator=torch.Generator().manual_seed(0))
    weights = [triangles(side, wanted) for side, wanted in zip(volume.shape, shape, strict=True)]
    found = np.einsum("zyx,az,by,cx->abc", volume.numpy(), *weights)
    assert np.allclose(resampled(volume, shape).numpy(), found, atol=1e-5)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_axes_of_about_the_wanted_spacing_stay_as_they_are(task):
    plan = detector(downsample=2)
    plan.task = task
    words = step(before(plan), "spacing")
    assert "[2.0, 2.0, 2.0]" in words
    assert "less than 1/7 away from 1 stays as it is" in words
    assert "side * own / wanted" in words
    spacing = Spacing((2 * (1 + 1 / 7.1), 2 * (1 + 1 / 6.9), 1.0), "mm")
    assert working_shape((70, 69, 50), plan.data, spacing) == (70, round(69 * (1 + 1 / 6.9)), 25)


def test_images_are_resized_by_area_means():
    plan = Plan()
    assert "area means" in step(before(plan), "size")
    assert "air" not in names(before(plan))


def test_the_second_classifier_is_told_whole():
    plan = detector(mean=[0.25], std=[0.3])
    content = second_stage(plan)
    assert content["inference"]["flips"] == ["x", "y", "z"]
    assert content["before"]["mean"] == [0.25]
    assert content["before"]["window"] == [-1000.0, 400.0]
    assert names(content["before"]) == ["channels", "air", "cube", "intensities"]
    assert "24 voxels of 1 mm" in step(content["before"], "cube")
    plan.data.normalise = "study"
    assert second_stage(plan)["before"]["normalise"] == "image", "cubes know no study's mean"


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.9), (1.0, 0.0), (0.999, 0.2)])
def test_the_rule_in_words_combines_as_the_task_does(first, second):
    words = second_stage(detector())["combined"]
    odds = [math.log((p + 1e-6) / (1 - p + 1e-6)) for p in (first, second)]
    assert "ln((p + 1e-6) / (1 - p + 1e-6))" in words
    assert combined(first, second) == pytest.approx(1 / (1 + math.exp(-sum(odds) / 2)))


def test_how_intensities_are_normalised_is_told():
    plan = Plan()
    for how, words in (("image", "over all channels"), ("channel", "each channel of this image")):
        plan.data.normalise = how
        assert words in step(before(plan), "intensities")
        assert "a std <= 1e-06 |mean| becomes 1" in step(before(plan), "intensities")
