"""What a plan must agree with: its study, and all that was asked for."""

import logging

import numpy as np
import pytest
import tifffile

from hilum.errors import PlanError
from hilum.phantoms.make import make_phantom
from hilum.planning.planner import Wishes, make_plan
from hilum.study.open import open_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study(
        make_phantom("histology", tmp_path_factory.mktemp("checks") / "study", cases=5, size=(96, 128))
    )


def planned(study, *settings, **wishes):
    return make_plan(study, Wishes(settings=settings, **wishes), 3, "three").plan


def test_outputs_are_those_of_the_study(study, tmp_path):
    assert planned(study, "data.outputs=[SevereInflammation]").data.outputs == ["SevereInflammation"]
    with pytest.raises(PlanError, match=r"has Parenchyma, SevereInflammation; did you mean Parenchyma\?"):
        planned(study, "data.outputs=[Parenchima]")
    (tmp_path / "other.yaml").write_text("data:\n  outputs: [Parenchyma, nerve]\n")
    with pytest.raises(PlanError, match=r"leave data\.outputs out of the file"):
        planned(study, recipe=str(tmp_path / "other.yaml"))
    with pytest.raises(PlanError, match=r"data\.outputs = \[\]"):
        planned(study, "data.outputs=[]")


def test_a_plan_for_another_task_is_refused(study, tmp_path):
    (tmp_path / "other.yaml").write_text("task: classify\n")
    with pytest.raises(PlanError, match="is annotated for segment; leave `task` out"):
        planned(study, recipe=str(tmp_path / "other.yaml"))


def test_wishes_that_cannot_count_are_refused(study):
    with pytest.raises(PlanError, match=r"at least 2 folds are needed, 3 are planned; --fold 0"):
        planned(study, "data.folds=1")
    with pytest.raises(PlanError, match=r"training\.epochs = 2 beside 100 steps.*say one of both"):
        planned(study, "training.epochs=2", steps=100)
    with pytest.raises(PlanError, match=r"training\.epochs = 2 beside 50 steps"):
        planned(study, "training.epochs=2", "training.steps=50")
    with pytest.raises(PlanError, match=r"data\.downsample = 2 does nothing .*data\.size=\[32,40\]"):
        planned(study, "data.downsample=2", recipe="ultrasound-nerve-2016")


def test_settings_that_nothing_is_decided_by_are_refused(study):
    with pytest.raises(
        PlanError, match=r"scoring\.min_sensitivity = 0\.9 does nothing here: it is for labels"
    ):
        planned(study, "scoring.min_sensitivity=0.9")
    with pytest.raises(PlanError, match=r"scoring\.cost = 5 does nothing here: it is for labels, not"):
        planned(study, "scoring.cost=5")
    with pytest.raises(PlanError, match=r"scoring\.threshold = 1\.5: .*0 to 1"):
        planned(study, "scoring.threshold=1.5")
    with pytest.raises(PlanError, match=r"does nothing beside data\.normalise = study; say --set data\.norm"):
        planned(study, "data.window=[0,100]", "data.normalise=study")
    with pytest.raises(PlanError, match=r"z does nothing, as the images are flat"):
        planned(study, "training.augmentation.flip=[z]")


def test_networks_for_labels_are_refused_for_masks(study):
    words = r"xray-cnn-2020: answers for whole images.*leave --recipe xray-cnn-2020 out.*unet"
    with pytest.raises(PlanError, match=words):
        planned(study, recipe="xray-cnn-2020")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Three classes that exclude each other, in folders of their own."""
    root, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    for name in ("a", "b", "c"):
        (root / name).mkdir()
        for index in range(4):
            picture = rng.integers(0, 255, (48, 48)).astype(np.uint8)
            tifffile.imwrite(root / name / f"{name}{index}.tif", picture)
    return open_study(root)


def test_networks_and_losses_for_masks_are_refused_for_labels(labelled):
    with pytest.raises(PlanError, match=r"ultrasound-nerve-2016: answers pixel by pixel.*one of resnet"):
        planned(labelled, recipe="ultrasound-nerve-2016")
    with pytest.raises(PlanError, match=r"training\.loss = dice: is for masks.*training\.loss=entropy"):
        planned(labelled, "training.loss=dice")


def test_exclusive_classes_are_told_apart_all_together(labelled):
    assert planned(labelled).data.outputs == ["a", "b", "c"]
    with pytest.raises(PlanError, match=r"cost = 5 does nothing here: the most probable class is called"):
        planned(labelled, "scoring.cost=5")
    with pytest.raises(PlanError, match=r"data\.outputs = \['a'\].*all of them are wanted \(a, b, c\)"):
        planned(labelled, "data.outputs=[a]")
    alone = planned(labelled, "data.outputs=[a]", "model.activation=sigmoid", "scoring.cost=5")
    assert alone.data.outputs == ["a"]


def test_the_epochs_of_a_recipe_give_way_to_steps(study):
    assert planned(study, steps=7, recipe="ultrasound-nerve-2016").training.steps == 7


def test_a_patch_that_leaves_out_most_of_a_whole_image_is_told(study, caplog):
    with caplog.at_level(logging.WARNING):
        planned(study, recipe="ultrasound-nerve-2016")
        planned(study, recipe="lung-histology-2018")
    assert not caplog.text
    planned(study, "data.size=[96, 96]", recipe="ultrasound-nerve-2016")
    assert "only a crop of each is learnt; say --set training.patch=[96,96]" in caplog.text


def mixed(root, coloured=True):
    """Eight and sixteen bits side by side."""
    rng = np.random.default_rng(0)
    for index in range(6):
        grey = rng.integers(20, 250, (64, 64, 1))
        picture = (grey * ([1.0, 0.5, 0.8] if coloured else [1.0])).astype(np.uint8).squeeze()
        deep = picture.astype(np.uint16) * 257 if index % 2 else picture
        for folder, array in (("images", deep), ("masks", (grey[..., 0] > 120).astype(np.uint8) * 255)):
            (root / folder).mkdir(exist_ok=True)
            tifffile.imwrite(root / folder / f"{index}.tif", array)
    return open_study(root)


def test_colours_of_different_bit_depth_are_refused_on_one_scale(tmp_path):
    with pytest.raises(PlanError, match=r"uint8 up to 249, uint16 up to \d+.*data\.normalise=channel"):
        planned(mixed(tmp_path))
    assert planned(mixed(tmp_path), "data.normalise=channel").data.normalise == "channel"


def test_greys_of_different_bit_depth_have_each_their_own_scale(tmp_path):
    assert planned(mixed(tmp_path, coloured=False)).data.normalise == "image"
