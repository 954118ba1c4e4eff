import pytest
import torch

from hilum.phantoms.make import make_phantom
from hilum.planning.plan import Plan
from hilum.study.open import open_study
from hilum.training.contradictions import contradicting, reconciled
from hilum.training.samples import masked_sample


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contradictions") / "study"
    return open_study(make_phantom("ultrasound", folder, cases=18, size=(105, 145), contradictions=3))


def samples_of(study):
    return {
        case.name: (masked_sample(case.name, torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.ones(1)),)
        for case in study.cases
    }


def plan(how):
    made = Plan()
    made.data.contradictions = how
    return made


def test_near_identical_frames_with_other_masks_are_found(study):
    """Each third frame with a nerve is followed by its copy with an empty mask."""
    assert contradicting(study) == {"1_5", "1_6", "2_5", "2_6", "3_5", "3_6"}


@pytest.mark.parametrize(("how", "weight"), [("keep", 1.0), ("half", 0.5), ("drop", 0.0)])
def test_contradicting_cases_get_their_weight_and_none_is_lost(study, how, weight):
    samples = samples_of(study)
    found = reconciled(samples, study, plan(how))
    assert list(found) == list(samples)
    weights = {name: one.weight for name, (one,) in found.items()}
    assert {name for name, value in weights.items() if value != 1} == (
        contradicting(study) if how != "keep" else set()
    )
    assert set(weights.values()) == {1.0, weight}
