import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.explanation import case as cases
from hilum.explanation.case import Question, explain_case
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.inference.predictor import make_predictor
from hilum.models.registry import create
from hilum.planning.plan import Plan


def plan(outputs, **data):
    made = Plan()
    made.data = made.data.model_copy(
        update={"channels": 1, "outputs": outputs, "mean": [0.0], "std": [255.0], **data}
    )
    return made


def picture(shape=(22, 30)):
    array = np.zeros((1, *shape), np.uint8)
    array[0, :8, :8] = 255
    return Image(array)


def test_a_segmenter_explains_each_target(segmenter):
    predictor = make_predictor([segmenter, segmenter], plan(["bright", "dark"]))
    found = explain_case("one", picture(), predictor, Question())
    assert [output.name for output in found.outputs] == ["bright", "dark"]
    bright = found.outputs[0]
    inside = picture().array[0] > 0
    assert np.array_equal(bright.mask, inside)
    assert bright.probability == pytest.approx(inside.mean())
    assert np.array_equal(bright.heat > 0, inside)
    assert bright.entropy.shape == bright.fall.shape == inside.shape
    assert bright.disagreement == pytest.approx(0, abs=1e-6)
    assert found.members == 2
    assert [one.layer for one in found.features] == ["conv"]


def test_a_classifier_explains_the_class_it_names(corner):
    predictor = make_predictor([corner], plan(["normal", "ill"]))
    found = explain_case("one", picture((32, 32)), predictor, Question())
    (output,) = found.outputs
    assert output.name == "normal"
    assert output.mask is None
    assert output.entropy is None
    assert output.probability == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert output.heat[:8, :8].min() == 1
    assert output.fall[:8, :8].min() > 0


def test_what_speaks_against_is_said(corner):
    predictor = make_predictor([corner], plan(["normal", "ill"]))
    found = explain_case("one", picture((32, 32)), predictor, Question(targets=("ill",), occlusion=False))
    assert [output.name for output in found.outputs] == ["ill"]
    assert found.outputs[0].fall is None
    assert "nothing in layer conv speaks for it" in found.notes[0]


def test_of_a_very_large_image_the_telling_part(segmenter, monkeypatch):
    monkeypatch.setattr(cases, "WHOLE_PIXELS", 400)
    array = np.zeros((1, 60, 80), np.uint8)
    array[0, 40:50, 60:70] = 255
    predictor = make_predictor([segmenter], plan(["bright", "none"]))
    segmenter.conv.bias.data[1] = -9.0
    found = explain_case("one", Image(array), predictor, Question(occlusion=False))
    assert found.image.shape == found.outputs[0].heat.shape == (20, 20)
    assert found.image.array.sum() == 255 * 100
    assert found.outputs[0].mask.sum() == 100
    assert "the image is large" in found.notes[0]


def test_of_a_very_large_image_the_part_that_tells_of_what_was_asked(segmenter, monkeypatch):
    """Grey holds half a target everywhere; the bright one and the dark one lie in opposite corners."""
    monkeypatch.setattr(cases, "WHOLE_PIXELS", 400)
    array = np.full((1, 60, 80), 128, np.uint8)
    array[0, 40:60, 60:80] = 255
    array[0, :10, :10] = 0
    predictor = make_predictor([segmenter], plan(["bright", "dark"]))
    for target, value in (("bright", 255), ("dark", 0)):
        question = Question(targets=(target,), occlusion=False)
        found = explain_case("one", Image(array), predictor, question)
        assert (found.image.array == value).sum() == (400 if value else 100)
        assert found.outputs[0].mask.any()


def test_of_a_volume_the_slice_that_tells_of_what_was_asked(segmenter):
    array = np.full((1, 6, 16, 20), 128, np.uint8)
    array[0, 1], array[0, 4, :8] = 255, 0
    predictor = make_predictor([segmenter], plan(["bright", "dark"]))
    for target, own in (("bright", 1), ("dark", 4)):
        question = Question(targets=(target,), occlusion=False)
        found = explain_case("one", Image(array), predictor, question)
        assert (found.image.array == array[:, own]).all()


def test_of_a_volume_one_plane():
    network = create("unet", 1, 1, dims=3, width=4, depth=1).eval()
    predictor = make_predictor([network], plan(["a"], dims=3))
    volume = Image(np.random.default_rng(0).integers(0, 255, (1, 6, 17, 21), np.uint8))
    found = explain_case("one", volume, predictor, Question())
    assert found.image.shape == found.outputs[0].heat.shape == found.outputs[0].fall.shape == (17, 21)
    assert all(one.maps.ndim == 3 for one in found.features)


def test_of_a_volume_seen_slice_by_slice_the_fullest_slice():
    network = create("unet", 3, 1, width=4, depth=1).eval()
    settings = plan(["a"])
    settings.data.neighbours = 1
    predictor = make_predictor([network], settings)
    array = np.random.default_rng(0).integers(0, 255, (1, 6, 17, 21), np.uint8)
    volume = Image(array, Spacing((2.0, 0.5, 0.5), "mm"))
    found = explain_case("one", volume, predictor, Question(occlusion=False))
    fullest = int(predictor.image(volume)[0].sum((1, 2)).argmax())
    assert (found.image.array == array[:, fullest]).all()
    assert found.outputs[0].heat.shape == (17, 21)


def test_of_a_volume_labelled_as_a_whole_the_slice_that_speaks_most(corner):
    predictor = make_predictor([corner], plan(["normal", "ill"]))
    array = np.full((1, 12, 32, 32), 160, np.uint8)
    array[0, 9] = 255
    array[0, 3] = 0
    volume = Image(array, Spacing((2.0, 0.5, 0.5), "mm"))
    found = explain_case("one", volume, predictor, Question(occlusion=False))
    (output,) = found.outputs
    assert output.name == "normal"
    assert output.probability == pytest.approx(float(predictor.image(volume)[0]))
    assert output.uncertainty == pytest.approx(
        -sum(p * np.log2(p) for p in (output.probability, 1 - output.probability)), abs=1e-5
    )
    assert (found.image.array == 255).all(), "slice 9, beyond the first group of slices"
    assert output.heat.shape == (32, 32)
    assert output.mask is None
    asked = explain_case("one", volume, predictor, Question(targets=("ill",), occlusion=False))
    assert [one.name for one in asked.outputs] == ["ill"]
    assert (asked.image.array == 0).all()


def test_masks_and_shares_are_those_that_were_decided(segmenter):
    predictor = make_predictor([segmenter], plan(["bright", "dark"], downsample=2))
    seen = []

    def decide(probability, shape):
        seen.append((probability.shape, shape))
        masks = np.zeros((2, *shape), bool)
        masks[0, 4:9, 4:30] = True
        return masks

    found = explain_case("one", picture((40, 48)), predictor, Question(decide=decide, occlusion=False))
    assert seen == [((2, 20, 24), (40, 48))]
    bright, dark = found.outputs
    assert bright.mask.shape == (40, 48)
    assert bright.probability == pytest.approx(5 * 26 / (40 * 48))
    assert bright.mask.sum() == 5 * 26
    assert dark.probability == 0
    assert not dark.mask.any()
    assert bright.heat.shape == (20, 24)


def test_a_part_of_a_large_image_has_the_share_of_all_of_it(segmenter, monkeypatch):
    monkeypatch.setattr(cases, "WHOLE_PIXELS", 400)
    array = np.zeros((1, 60, 80), np.uint8)
    array[0, 40:50, 60:70] = 255
    predictor = make_predictor([segmenter], plan(["bright", "none"]))
    found = explain_case("one", Image(array), predictor, Question(targets=("bright",), occlusion=False))
    assert found.outputs[0].probability == pytest.approx(100 / 4800)


def test_classes_are_asked_about_as_they_are_called(corner):
    predictor = make_predictor([corner], plan(["normal", "ill"]))
    for said, names in (
        ([True, True], ["normal", "ill"]),
        ([False, True], ["ill"]),
        ([False] * 2, ["normal"]),
    ):
        question = Question(decide=lambda _, __, said=said: np.array(said), occlusion=False)
        found = explain_case("one", picture((32, 32)), predictor, question)
        assert [output.name for output in found.outputs] == names


def test_unknown_layers_are_refused(segmenter):
    predictor = make_predictor([segmenter], plan(["bright", "dark"]))
    with pytest.raises(HilumError, match="no layer 'x'"):
        explain_case("one", picture(), predictor, Question(layer="x"))
