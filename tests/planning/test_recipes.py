import re

import numpy as np
import pytest
from PIL import Image as Pillow

import hilum
from hilum import models
from hilum.errors import PlanError
from hilum.inference.predictor import placed_tiles
from hilum.models.parameters import count_parameters
from hilum.planning.document import read_values
from hilum.planning.draft import validated
from hilum.planning.planner import Wishes, find_recipe, recipe_names, wished_folds
from hilum.training.run import make_network

SEGMENTERS = ("lung-histology-2018", "ultrasound-nerve-2016", "nodule-2017", "medical-256-2018")
SMALL = {
    "lung-histology-2018": (
        "model.settings={widths: [4, 4, 4]}",
        "training.patch=[64, 64]",
        "inference.tile=[64, 64]",
    ),
    "ultrasound-nerve-2016": ("model.settings={widths: [4, 4, 4]}",),
    "nodule-2017": ("model.settings={widths: [4, 4, 4]}", "data.size=[64, 64]", "training.patch=[64, 64]"),
    "medical-256-2018": (
        "model.settings={widths: [4, 4, 4]}",
        "data.size=[64, 64]",
        "training.patch=[64, 64]",
        "training.augment_to=12",
    ),
}


def recipe(name):
    return validated(read_values(find_recipe(name)), name)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six discs of six patients, bright on noise."""
    folder = tmp_path_factory.mktemp("recipes") / "study"
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:96, :128]
    for index in range(6):
        disc = (rows - 40 - 3 * index) ** 2 + (columns - 60) ** 2 < 20**2
        grey = np.clip(rng.normal(60, 10, (96, 128)) + 100 * disc, 0, 255).astype(np.uint8)
        for part, pixels in (("images", grey), ("masks", disc * np.uint8(255))):
            path = folder / part / f"{index}_1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(pixels).save(path)
    return folder


def test_the_recipes_of_the_segmenters_are_there():
    assert set(SEGMENTERS) <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_plan_with_a_network_of_its_name_and_a_source(name):
    plan = recipe(name)
    assert plan.model.name == name
    assert name in models.names()
    assert plan.source.startswith("after ")
    assert re.search(r", 20[12]\d$", plan.source)
    assert "\n" not in plan.source


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("lung-histology-2018", 3, 9_977_569),
        ("ultrasound-nerve-2016", 1, 7_759_521),
        ("nodule-2017", 1, 7_759_521),
        ("medical-256-2018", 1, 31_031_685),
    ],
)
def test_the_network_of_a_recipe_has_the_original_number_of_parameters(name, channels, parameters):
    plan = recipe(name)
    plan.data.channels, plan.data.outputs = channels, ["target"]
    assert count_parameters(make_network(plan)).total == parameters


def test_the_histology_recipe_gives_each_target_a_network_of_its_own():
    plan = recipe("lung-histology-2018")
    plan.data.channels, plan.data.outputs = 3, ["Parenchyma", "SevereInflammation"]
    assert count_parameters(make_network(plan)).total == 2 * 9_977_569


def test_tile_positions_of_the_histology_recipe():
    plan = recipe("lung-histology-2018")
    tiles = placed_tiles((1040, 1392), plan.inference)
    assert [(rows.start, columns.start) for rows, columns in tiles] == [
        (top, left) for top in (0, 264, 528) for left in (0, 293, 587, 880)
    ]
    assert {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiles} == {(512, 512)}
    assert plan.data.tiles == [2, 3]


@pytest.mark.parametrize("name", ["ultrasound-nerve-2016", "nodule-2017"])
def test_the_nerve_recipes_train_as_the_tutorial_did(name):
    plan = recipe(name)
    training = plan.training
    assert (training.optimiser, training.learning_rate, training.loss) == ("adam", 1e-5, "negative-dice")
    assert (training.epochs, training.validation, training.keep) == (20, 0.2, "best")
    assert (training.ema, training.warmup, training.weight_decay, training.schedule) == (0, 0, 0, "constant")
    assert training.augmentation == type(training.augmentation)()
    assert plan.data.normalise == "study"


def test_a_recipe_asks_for_its_folds_unless_the_user_does():
    assert wished_folds(Wishes(recipe="lung-histology-2018")) == 3
    assert wished_folds(Wishes(recipe="lung-histology-2018", folds=7)) == 7
    assert wished_folds(Wishes(recipe="lung-histology-2018", settings=("data.folds=4",))) == 4
    assert wished_folds(Wishes(recipe="ultrasound-nerve-2016")) is None
    assert wished_folds(Wishes()) is None


def test_an_unknown_recipe_lists_those_that_are_there():
    with pytest.raises(PlanError, match="ultrasound-nerve-2016"):
        find_recipe("ultrasound-2015")


def test_a_plan_by_recipe_fills_in_what_depends_on_the_images(study):
    plan = hilum.plan(study, recipe="ultrasound-nerve-2016")
    assert plan.recipe == "ultrasound-nerve-2016"
    assert plan.data.normalise == "study"
    assert len(plan.data.mean) == len(plan.data.std) == 1
    assert 60 < plan.data.mean[0] < 90
    assert plan.training.augmentation.rotate_deg == 0
    assert plan.training.augmentation.flip == []


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_recipe_runs_from_end_to_end(study, tmp_path, name):
    run = hilum.train(
        study, tmp_path / "run", recipe=name, steps=4, folds=2, settings=(*SMALL[name], "training.batch=2")
    )
    found = run.summary()["targets"]["target"]
    assert found["dice"]["cases"] == 6
    assert run.plan.recipe == name
    assert run.plan.source
    done = hilum.predict(run.folder, study / "images", tmp_path / "out")
    assert done.cases == 6
    assert len(list((tmp_path / "out" / "masks" / "target").glob("*.png"))) == 6


def test_an_empty_group_sets_its_values_back_and_forgets_their_reasons(study):
    plan = hilum.plan(study, recipe="ultrasound-nerve-2016", settings=("training.augmentation.flip=[x]",))
    assert plan.training.augmentation.flip == ["x"]
    assert plan.training.augmentation.scale == 0
    kept = [key for key in plan.reasons if key.startswith("training.augmentation.")]
    assert kept == ["training.augmentation.flip"]


def test_minutes_asked_for_still_count(study):
    assert hilum.plan(study, recipe="ultrasound-nerve-2016").training.minutes is None
    assert hilum.plan(study, recipe="ultrasound-nerve-2016", minutes=3).training.minutes == 3


def test_a_recipe_with_a_window_leaves_the_scale_of_the_study(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(6):
        path = tmp_path / ("NORMAL", "SICK")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(path)
    data = hilum.plan(tmp_path, recipe="xray-cnn-2020").data
    assert (data.normalise, data.window, data.mean, data.std) == ("window", [0, 255], [], [])
