import pytest
import torch

from hilum.errors import PlanError
from hilum.phantoms.make import make_phantom
from hilum.planning.document import read_plan, write_plan
from hilum.planning.planner import (
    Wishes,
    find_recipe,
    line_folds,
    make_plan,
    recipe_names,
    unheard,
    wished_folds,
)
from hilum.study.masks import read_case_image
from hilum.study.open import open_study
from hilum.training.prepare import prepare_image


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
    (tmp_path / "mine.yaml").write_text("training:\n  cpu_s: 600\n")
    assert planned(study, recipe=str(tmp_path / "mine.yaml")).training.cpu_s == 600
    assert planned(study, recipe=str(tmp_path / "mine.yaml"), minutes=2.0).training.cpu_s is None


def test_steps_and_minutes_do_not_stand_beside_each_other(study, tmp_path):
    (tmp_path / "mine.yaml").write_text("training:\n  steps: 9\n")
    by_file = planned(study, recipe=str(tmp_path / "mine.yaml")).training
    assert (by_file.steps, by_file.minutes) == (9, None)
    asked = planned(study, recipe=str(tmp_path / "mine.yaml"), minutes=2.0).training
    assert (asked.steps, asked.minutes) == (None, 2)
    by_setting = planned(study, settings=("training.steps=9",)).training
    assert (by_setting.steps, by_setting.minutes) == (9, None)


def test_a_new_time_counts_for_the_second_classifier_too(study, tmp_path):
    (tmp_path / "mine.yaml").write_text("detection:\n  steps: 40000\n")
    assert planned(study, recipe=str(tmp_path / "mine.yaml")).detection.steps == 40000
    assert planned(study, recipe=str(tmp_path / "mine.yaml"), minutes=2.0).detection.steps is None


def test_what_is_off_in_a_plan_stays_off_when_it_is_used_again(study, tmp_path):
    """The epochs of a recipe decide; a time that the planner would have filled in must not end them."""
    first = planned(study, recipe="ultrasound-nerve-2016")
    write_plan(first, tmp_path / "plan.yaml")
    again = planned(study, recipe=str(tmp_path / "plan.yaml"))
    assert (first.training.minutes, first.training.epochs) == (None, 20)
    assert again.model_dump(exclude={"recipe"}) == first.model_dump(exclude={"recipe"})


# A long time for few images, for which the planner plans coarse stages.
LONG = ("training.cpu_s=6000",)


def prepared(study, plan):
    return torch.stack([prepare_image(read_case_image(case), plan.data) for case in study.cases])


@pytest.mark.parametrize("settings", [(), ("data.flatten_light=false",), ("data.channels=1",)])
def test_images_are_normalised_as_they_are_prepared(study, settings):
    """Whether light is divided out and how many channels there are is known after the settings alone."""
    plan = planned(study, settings=settings)
    assert len(plan.data.mean) == plan.data.channels
    pixels = prepared(study, plan)
    assert abs(float(pixels.mean())) < 0.15
    assert float(pixels.std()) == pytest.approx(1, abs=0.25)


def test_light_is_divided_out_where_it_is_asked_for(study):
    planned_flat = planned(study).data.flatten_light
    plan = planned(study, settings=(f"data.flatten_light={str(not planned_flat).lower()}",))
    assert abs(float(prepared(study, plan).mean())) < 0.15


def test_mean_and_spread_of_ones_own_are_kept_and_must_fit_the_channels(study):
    settings = ("data.mean=[1, 2, 3]", "data.std=[4, 5, 6]")
    plan = planned(study, settings=settings)
    assert (plan.data.mean, plan.data.std) == ([1, 2, 3], [4, 5, 6])
    with pytest.raises(PlanError, match=r"data\.channels is 1"):
        planned(study, settings=(*settings, "data.channels=1"))


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    return open_study(
        make_phantom("histology", tmp_path_factory.mktemp("larger") / "study", cases=5, size=(420, 580))
    )


@pytest.mark.parametrize("name", [name for name in recipe_names() if "xray" not in name])
def test_a_recipe_has_no_stages_but_its_own(larger, tmp_path, name):
    assert planned(larger, settings=LONG).training.stages == [2, 1]
    plan = planned(larger, settings=LONG, recipe=name)
    assert (plan.training.stages, plan.training.norm_batches) == ([1], 0)
    (tmp_path / "mine.yaml").write_text("training:\n  patch: [64, 64]\n  stages: [4, 1]\n")
    assert planned(larger, settings=LONG, recipe=str(tmp_path / "mine.yaml")).training.stages == [4, 1]


def test_stages_go_with_the_patch_that_they_were_planned_for(larger):
    own = planned(larger, settings=LONG).training
    same = planned(larger, settings=(*LONG, f"training.patch={own.patch}")).training
    assert same.stages == own.stages
    other = planned(larger, settings=(*LONG, "training.patch=[48, 48]"))
    assert other.training.stages == [1]
    assert "training.patch" in other.reasons["training.stages"]
    asked = planned(larger, settings=(*LONG, "training.patch=[64, 64]", "training.stages=[2, 1]"))
    assert asked.training.stages == [2, 1]


def test_folds_and_device_of_the_command_line_win_over_a_file(study, tmp_path):
    path = tmp_path / "elsewhere.yaml"
    path.write_text("data:\n  folds: 9\ntraining:\n  device: cuda\n  precision: 16-mixed\n")
    plan = planned(study, recipe=str(path), device="cpu")
    assert (plan.data.folds, plan.reasons["data.folds"]) == (3, "three")
    assert (plan.training.device, plan.training.precision) == ("cpu", planned(study).training.precision)
    kept = planned(study, recipe=str(path)).training
    assert (kept.device, kept.precision) == ("cuda", "16-mixed")


def test_the_wishes_are_in_the_plan(study):
    assert planned(study, group_by=r"(\d+)").data.group_by == r"(\d+)"
    assert planned(study, device="cpu").training.device == "cpu"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return open_study(make_phantom("xray", tmp_path_factory.mktemp("labels") / "study", 12, size=(96, 120)))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_plan(study, labelled, name):
    plan = planned(labelled if "xray" in name else study, recipe=name)
    assert plan.recipe == name
    assert find_recipe(name).is_file()


@pytest.mark.parametrize("name", ["nonsense", "../../plan", "/etc", ""])
def test_an_unknown_recipe_lists_the_known_ones(name):
    with pytest.raises(PlanError, match="neither a plan file nor one of"):
        find_recipe(name)


def test_a_wrong_setting_stops_before_any_work(study):
    with pytest.raises(PlanError, match=r"training\.batch"):
        planned(study, settings=("training.batc=3",))


def sizes(plan):
    training = plan.training
    return [plan.data.downsample, training.patch, training.whole, training.batch, plan.inference.tile]


def test_patch_batch_and_tile_follow_a_resolution_that_is_asked_for(larger):
    """Else a study that is planned whole at 4x learns one crop of each image at full resolution."""
    own = planned(larger, steps=100)
    assert (own.data.downsample, own.training.whole) == (4, True)
    fine = planned(larger, steps=100, settings=("data.downsample=1",))
    assert sizes(fine) == [1, [128, 128], False, 8, [448, 608]]
    assert "420 x 580 at working resolution, so crops" in fine.reasons["training.whole"]
    assert sizes(planned(larger, steps=100, settings=("data.downsample=8",)))[:3] == [8, [56, 72], True]
    resized = planned(larger, steps=100, settings=("data.size=[100, 130]",))
    assert (resized.training.patch, resized.training.whole) == ([112, 144], True)


def test_what_is_given_beside_a_resolution_is_kept(larger, tmp_path):
    kept = (
        "training.patch=[64, 96]",
        "training.batch=3",
        "inference.tile=[96, 96]",
        "model.settings.depth=3",
    )
    fine = planned(larger, steps=100, settings=("data.downsample=1", *kept))
    assert sizes(fine) == [1, [64, 96], False, 3, [96, 96]]
    assert (fine.model.settings["depth"], fine.reasons["training.patch"]) == (3, "set by --set")
    write_plan(fine, tmp_path / "plan.yaml")
    assert sizes(planned(larger, recipe=str(tmp_path / "plan.yaml"))) == sizes(fine)


@pytest.mark.parametrize(
    "setting", ["data.downsample=0", "data.size=[64]", "data.size=64", "data.size=[0, 64]"]
)
def test_a_resolution_that_is_none_is_refused(larger, setting):
    with pytest.raises(PlanError, match=setting.partition("=")[0]):
        planned(larger, settings=(setting,))


def test_a_plan_file_is_the_recipe_of_a_run_also_where_it_names_another(study, tmp_path):
    path = tmp_path / "plan.yaml"
    write_plan(planned(study, steps=30), path)
    again = planned(study, recipe=str(path))
    assert again.recipe == str(path)
    assert unheard(again, Wishes(recipe=str(path)), 3) == []


def test_an_end_that_is_set_takes_the_place_of_a_file_s_steps(study, tmp_path):
    """As `--minutes` does."""
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  steps: 9\n  cpu_s: 50\ndetection:\n  steps: 4\n")

    def training(*settings, **wishes):
        plan = planned(study, recipe=str(path), settings=settings, **wishes)
        assert plan.training.steps is not None or plan.detection.steps is None
        return plan.training.steps, plan.training.minutes, plan.training.cpu_s

    assert training("training.minutes=10") == (None, 10, None)
    assert training("training.cpu_s=70")[::2] == (None, 70)
    assert training("training.epochs=3")[0] is None
    assert training("training.epochs=null")[0] == 9
    assert training("training.minutes=10", "training.steps=7")[:2] == (7, 10)
    assert training("training.minutes=10", steps=5)[0] == 5


def test_folds_of_the_command_line_are_told_from_those_of_a_recipe():
    assert line_folds(Wishes(recipe="lung-histology-2018")) is None
    assert line_folds(Wishes(folds=4)) == 4
    assert line_folds(Wishes(settings=("data.folds=3", "inference.moves=true"))) == 3
    assert wished_folds(Wishes(settings=("data.folds=3", "inference.moves=true"))) == 3


@pytest.mark.parametrize(
    "settings", [("data.normalise=window", "data.window=[0,255]"), ("data.normalise=image",)]
)
def test_the_scale_of_the_study_goes_with_it(study, settings):
    data = planned(study, settings=settings).data
    assert (data.mean, data.std) == ([], [])
    asked = planned(study, settings=(*settings, "data.mean=[0.5]", "data.std=[0.25]")).data
    assert (asked.mean, asked.std) == ([0.5], [0.25])


def test_a_window_needs_its_two_ends(study):
    with pytest.raises(PlanError, match=r"--set 'data\.window=\[0, 255\]'"):
        planned(study, settings=("data.normalise=window",))
