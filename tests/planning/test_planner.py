import pytest

from hilum.errors import PlanError
from hilum.phantoms.make import make_phantom
from hilum.planning.document import read_plan, write_plan
from hilum.planning.planner import Wishes, find_recipe, make_plan, recipe_names
from hilum.study.open import open_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study(
        make_phantom("histology", tmp_path_factory.mktemp("plan") / "study", cases=5, size=(96, 128))
    )


def planned(study, **wishes):
    return make_plan(study, Wishes(**wishes), 3, "three").plan


def test_every_choice_of_the_planner_has_its_reason(study):
    plan = planned(study)
    chosen = (
        *("task", "data.channels", "data.outputs", "data.normalise", "data.downsample", "data.folds"),
        *("model.activation", "training.patch", "training.batch", "training.loss", "training.precision"),
        *("training.minutes", "training.augmentation.rotate_deg", "inference.tile", "inference.flips"),
    )
    assert not [key for key in chosen if not plan.reasons.get(key)]
    assert plan.data.outputs == list(study.targets)
    assert plan.data.folds == 3


def test_the_same_study_gives_the_same_plan(study):
    assert planned(study).model_dump() == planned(study).model_dump()


def test_settings_win_over_a_file_and_a_file_over_the_planner(study, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  batch: 3\n  clip: 0.5\n")
    plan = planned(study, recipe=str(path), settings=("training.batch=2",))
    assert (plan.training.batch, plan.training.clip) == (2, 0.5)
    assert plan.reasons["training.batch"] == "set by --set"
    assert "mine.yaml" in plan.reasons["training.clip"]


def test_a_written_plan_is_a_recipe_for_the_same_plan(study, tmp_path):
    first = planned(study, steps=30)
    write_plan(first, tmp_path / "plan.yaml")
    again = planned(study, recipe=str(tmp_path / "plan.yaml"))
    differing = {key for key in first.model_dump() if first.model_dump()[key] != again.model_dump()[key]}
    assert differing <= {"recipe"}
    assert read_plan(tmp_path / "plan.yaml").training.steps == again.training.steps == 30


def test_the_time_asked_for_wins_over_the_file(study, tmp_path):
    (tmp_path / "mine.yaml").write_text("training:\n  minutes: 9\n")
    assert planned(study, recipe=str(tmp_path / "mine.yaml"), minutes=2.0).training.minutes == 2


def test_steps_and_minutes_do_not_stand_beside_each_other(study, tmp_path):
    (tmp_path / "mine.yaml").write_text("training:\n  steps: 9\n")
    by_file = planned(study, recipe=str(tmp_path / "mine.yaml")).training
    assert (by_file.steps, by_file.minutes) == (9, None)
    asked = planned(study, recipe=str(tmp_path / "mine.yaml"), minutes=2.0).training
    assert (asked.steps, asked.minutes) == (None, 2)
    by_setting = planned(study, settings=("training.steps=9",)).training
    assert (by_setting.steps, by_setting.minutes) == (9, None)


def test_the_wishes_are_in_the_plan(study):
    assert planned(study, group_by=r"(\d+)").data.group_by == r"(\d+)"
    assert planned(study, device="cpu").training.device == "cpu"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_plan(study, name):
    plan = planned(study, recipe=name)
    assert plan.recipe == name
    assert find_recipe(name).is_file()


@pytest.mark.parametrize("name", ["nonsense", "../../plan", "/etc", ""])
def test_an_unknown_recipe_lists_the_known_ones(name):
    with pytest.raises(PlanError, match="neither a plan file nor one of"):
        find_recipe(name)


def test_a_wrong_setting_stops_before_any_work(study):
    with pytest.raises(PlanError, match=r"training\.batch"):
        planned(study, settings=("training.batc=3",))
