import pytest

import hilum
from hilum.errors import HilumError, PlanError, StudyError
from hilum.planning.document import read_plan
from hilum.study.open import open_study


def test_a_plan_is_made_without_training_and_can_be_kept(phantom_study, tmp_path):
    made = hilum.plan(
        phantom_study, tmp_path / "plan.yaml", steps=40, settings=("training.seed=3",), device="cpu"
    )
    back = read_plan(tmp_path / "plan.yaml")
    assert back.model_dump() == made.model_dump()
    assert (back.training.steps, back.training.seed) == (40, 3)
    assert back.reasons["training.seed"] == "set by --set"
    assert made.data.outputs == ["Parenchyma", "SevereInflammation"]


def test_an_edited_plan_is_what_is_trained_by(phantom_study, quick, tmp_path):
    hilum.plan(phantom_study, tmp_path / "plan.yaml", steps=40, settings=quick, device="cpu")
    text = (tmp_path / "plan.yaml").read_text()
    (tmp_path / "plan.yaml").write_text(text.replace("steps: 40", "steps: 2").replace("seed: 0", "seed: 9"))
    run = hilum.train(phantom_study, tmp_path / "run", recipe=str(tmp_path / "plan.yaml"), folds=2, fold=0)
    assert (run.plan.training.steps, run.plan.training.seed) == (2, 9)


@pytest.mark.parametrize(
    ("setting", "kind", "words"),
    [
        ("training.loss=foo", PlanError, "foo"),
        ("model.name=foo", PlanError, "foo"),
        ("training.device=cuda", PlanError, "no CUDA device here"),
        ("training.validation=0.5", StudyError, "a group is not split"),
    ],
)
def test_what_training_refuses_is_not_planned(phantom_study, tmp_path, monkeypatch, setting, kind, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    wishes = {"settings": (setting,), "steps": 4, "folds": 2, "device": "cpu", "group_by": "_(WT|KO)_"}
    with pytest.raises(kind, match=words):
        hilum.plan(phantom_study, tmp_path / "plan.yaml", **wishes)
    assert not (tmp_path / "plan.yaml").exists()
    with pytest.raises(HilumError, match=words):
        hilum.train(phantom_study, tmp_path / "run", **wishes)


def test_groups_are_made_by_the_plan_s_own_expression(phantom_study, tmp_path):
    """A run's plan trained by again, or `--set data.group_by`, groups as `--group-by` did."""
    every = r"([^/]+)$"
    assert len(open_study(phantom_study).groups) == 3
    made = hilum.plan(phantom_study, tmp_path / "plan.yaml", group_by=every, device="cpu")
    assert made.data.group_by == every
    again = hilum.plan(phantom_study, recipe=str(tmp_path / "plan.yaml"), device="cpu")
    wished = hilum.plan(phantom_study, settings=(f"data.group_by='{every}'",), device="cpu")
    assert again.reasons["data.folds"] == wished.reasons["data.folds"] == made.reasons["data.folds"]
    assert made.reasons["data.folds"] != hilum.plan(phantom_study, device="cpu").reasons["data.folds"]
