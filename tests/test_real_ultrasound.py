"""Real ultrasound: the layouts of three sets, and their masks as run lengths."""

import numpy as np
import pytest

import hilum
from hilum.image.runlength import decode, encode
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import understand
from hilum.study.splits import make_folds

pytestmark = pytest.mark.real


def test_untouched_pairs_of_the_challenge(data):
    study = understand(data / "us_nerve" / "original_tif_samples")
    assert [case.name for case in study.cases] == ["1_1", "1_45", "1_101"]
    assert {case.group for case in study.cases} == {"1"}
    for case in study.cases:
        image = read_case_image(case)
        assert image.shape == (420, 580)
        masks, known = read_masks(case, study.targets, image.shape)
        assert known.all()
        assert np.array_equal(decode(encode(masks[0]), (420, 580)), masks[0])


def test_folds_of_the_nerve_set_never_split_a_patient(data):
    study = understand(data / "us_nerve" / "train")
    assert (len(study.cases), len(study.groups)) == (1246, 24)
    groups = {case.name: case.group for case in study.cases}
    splits = make_folds(study)
    assert len(splits.folds) == 5
    for fold in splits.folds:
        assert not {groups[name] for name in fold.train} & {groups[name] for name in fold.test}


def test_palette_masks_give_two_exclusive_targets(data):
    study = understand(data / "us_regional")
    assert len(study.cases) == 204
    assert len(study.targets) == 2
    assert study.exclusive


def test_the_plan_of_the_nerve_set(data):
    plan = hilum.plan(data / "us_nerve" / "train", folds=5)
    assert plan.data.channels == 1
    assert plan.scoring.metric == "dice"
    assert plan.data.normalise == "image"


def test_the_histology_recipe_keeps_61_of_84_tiles_for_inflammation(data):
    from hilum.planning.planner import Wishes, make_plan
    from hilum.study.open import open_study
    from hilum.training.gather import gather_samples
    from hilum.training.tiling import cut_samples

    study = open_study(data / "lung_flu" / "train")
    wishes = Wishes(recipe="lung-histology-2018", settings=("data.outputs=[SevereInflammation]",))
    plan = make_plan(study, wishes, 3, "").plan
    samples = gather_samples([case for case in study.cases if case.masks], plan)
    every = [sample for found in samples.values() for sample in found]
    assert len(cut_samples(every, plan)) == 61
    plan.training.min_share = 0.0
    assert len(cut_samples(every, plan)) == 84
