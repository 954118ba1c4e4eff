from dataclasses import replace

import pytest

from hilum.image.spacing import unknown_spacing
from hilum.planning import rules
from hilum.planning.device import Device
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint

PRINT = Fingerprint(
    cases=14,
    groups=7,
    looked_at=14,
    channels=3,
    dtype="uint8",
    shapes=((1040, 1392),) * 14,
    spacing=unknown_spacing(2),
    mean=(200.0, 150.0, 180.0),
    std=(20.0, 30.0, 0.0),
    low=0,
    high=255,
    shares={"lung": 0.4, "dense": 0.02},
    present={"lung": 14, "dense": 11},
    annotated={"lung": 14, "dense": 14},
    ceilings={
        1: {"lung": 1.0, "dense": 1.0},
        2: {"lung": 0.999, "dense": 0.995},
        4: {"lung": 0.997, "dense": 0.985},
        8: {"lung": 0.98, "dense": float("nan")},
    },
    coloured=True,
)


def drafted(rule, *args, print_=PRINT):
    draft = Draft()
    rule(draft, print_, *args)
    return draft


def test_every_planned_value_is_a_valid_one():
    draft = drafted(rules.plan_data, ("lung", "dense"), 5, "five")
    rules.plan_resolution(draft, PRINT)
    rules.plan_batch(draft, rules.plan_patch(draft, PRINT, 2))
    rules.plan_orientation(draft, PRINT)
    rules.plan_intensity(draft, PRINT)
    rules.plan_tile(draft, PRINT, 2, 32)
    plan = draft.plan()
    assert plan.data.outputs == ["lung", "dense"]
    assert min(plan.data.std) > 0


def test_the_rate_stays_and_weights_are_averaged_over_many_steps():
    draft = Draft()
    rules.plan_rate(draft)
    training = draft.plan().training
    assert (training.schedule, training.learning_rate, training.ema) == ("constant", 0.0015, 0.999)
    assert training.norm_batches == 60
    chosen = ("schedule", "learning_rate", "ema", "norm_batches")
    assert all(draft.reasons[f"training.{name}"] for name in chosen)


def test_the_coarsest_resolution_whose_ceiling_holds_for_every_target():
    draft = drafted(rules.plan_resolution)
    assert draft.get("data.downsample") == 2
    assert "0.995" in draft.reasons["data.downsample"]
    assert "0.985" in draft.reasons["data.downsample"]


def test_small_images_are_not_shrunk_to_nothing():
    assert (
        drafted(rules.plan_resolution, print_=replace(PRINT, shapes=((96, 96),))).get("data.downsample") == 1
    )


def test_thin_targets_keep_full_resolution():
    thin = replace(PRINT, ceilings={1: {"line": 1.0}, 2: {"line": 0.6}})
    assert drafted(rules.plan_resolution, print_=thin).get("data.downsample") == 1


@pytest.mark.parametrize("shape", [(64, 64), (96, 128), (128, 190), (420, 580), (1040, 1392), (33, 2000)])
def test_a_patch_fits_the_network_that_is_planned_with_it(shape):
    draft = Draft()
    patch = rules.plan_patch(draft, replace(PRINT, shapes=(shape,)), 1)
    depth = draft.get("model.settings")["depth"]
    assert all(side % (2 * 2**depth) == 0 for side in patch)
    assert draft.get("training.whole") == (max(shape) <= rules.WHOLE_LIMIT)
    if draft.get("training.whole"):
        assert all(side >= of for side, of in zip(patch, shape, strict=True))


@pytest.mark.parametrize(
    ("normalise", "alone", "groups"),
    [
        ("study", True, rules.GROUP_FROM),
        ("image", True, None),
        ("channel", True, None),
        ("study", False, None),
    ],
)
def test_deep_levels_take_images_alone_where_all_share_a_scale(normalise, alone, groups):
    draft = Draft()
    draft.set("data.normalise", normalise)
    rules.plan_levels(draft, 4, alone)
    assert draft.get("model.settings").get("group_from") == groups
    assert ("alone" in draft.reasons["model.settings"]) == bool(groups)


def test_larger_patches_make_smaller_batches():
    small, large = (drafted_batch(patch) for patch in ((64, 64), (256, 256)))
    assert small > large >= 2


def drafted_batch(patch):
    draft = Draft()
    rules.plan_batch(draft, patch)
    return draft.get("training.batch")


def test_colour_has_one_scale_and_grey_its_own_in_each_image():
    assert drafted(rules.plan_normalisation).get("data.normalise") == "study"
    assert (
        drafted(rules.plan_normalisation, print_=replace(PRINT, coloured=False)).get("data.normalise")
        == "image"
    )


def test_three_equal_channels_become_one():
    grey = replace(PRINT, coloured=False)
    assert drafted(rules.plan_data, ("a",), 2, "", print_=grey).get("data.channels") == 1


def test_without_a_common_orientation_images_are_turned_freely():
    draft = drafted(rules.plan_orientation)
    assert draft.get("training.augmentation.rotate_deg") == 180
    assert draft.get("inference.flips") == ["x", "y"]


@pytest.mark.parametrize(("mirror", "flips"), [(0.9, ["x"]), (0.1, [])])
def test_with_a_common_orientation_only_fitting_mirrors_are_used(mirror, flips):
    draft = drafted(rules.plan_orientation, print_=replace(PRINT, pose=0.9, mirror_x=mirror))
    assert 0 < draft.get("training.augmentation.rotate_deg") < 45
    assert draft.get("training.augmentation.flip") == flips
    assert draft.get("inference.flips") == flips


@pytest.mark.parametrize(
    ("kind", "bf16", "precision"),
    [
        ("cpu", True, "bf16-mixed"),
        ("cpu", False, "32-true"),
        ("cuda", True, "bf16-mixed"),
        ("cuda", False, "16-mixed"),
    ],
)
def test_half_precision_where_the_hardware_has_it(kind, bf16, precision):
    draft = Draft()
    rules.plan_device(draft, Device(kind, "it", 2, 1 << 30, bf16))
    assert draft.get("training.precision") == precision
    assert draft.get("training.threads") == 2


def test_tiles_are_multiples_of_what_the_network_halves_and_not_larger_than_needed():
    tile = drafted(rules.plan_tile, 1, 32).get("inference.tile")
    assert all(side % 32 == 0 for side in tile)
    small = drafted(rules.plan_tile, 1, 32, print_=replace(PRINT, shapes=((100, 120),))).get("inference.tile")
    assert small == [128, 128]


def test_time_is_planned_quietly_unless_asked_for():
    draft = Draft()
    rules.plan_time(draft, None, None, 14)
    assert draft.get("training.minutes") > 0
    assert "default" in draft.reasons["training.minutes"]
    rules.plan_time(draft, 2.5, None, 14)
    assert draft.get("training.minutes") == 2.5
    draft = Draft()
    rules.plan_time(draft, None, 300, 14)
    assert draft.get("training.steps") == 300
    assert draft.get("training.minutes") is None


@pytest.mark.parametrize(
    ("present", "metric"), [(14, None), (10, None), (9, None), (8, "challenge"), (0, "challenge")]
)
def test_presence_is_a_question_where_a_target_is_often_missing(present, metric):
    draft = drafted(rules.plan_presence, print_=replace(PRINT, present={"lung": 14, "dense": present}))
    assert draft.plan().scoring.metric == (metric or "dice")
    assert ("dense" in draft.reasons.get("scoring.metric", "")) == (metric is not None)


def test_much_time_for_few_images_is_spent_on_finer_pixels():
    draft = Draft()
    draft.set("training.cpu_s", 600.0)
    few = replace(PRINT, cases=5)
    long = rules.plan_resolution(draft, few, rules.time_a_fold(draft, 4))
    assert (long.finer, draft.get("data.downsample")) == (2, 1)
    assert rules.LONG <= long.passes < rules.VERY_LONG
    assert "passes over all pixels" in draft.reasons["data.downsample"]
    assert rules.plan_patch(draft, few, 1, long) == (256, 256)
    assert draft.get("training.stages") == [2, 2, 1]
    assert "at 2x" in draft.reasons["training.stages"]
    assert rules.plan_patch(draft, few, 2) == (128, 128)
    assert draft.get("training.stages") == [1]
    assert "all steps at the working resolution" in draft.reasons["training.stages"]
    many = replace(PRINT, cases=100_000)
    assert rules.plan_resolution(draft, many, rules.time_a_fold(draft, 4)).finer == 1
    assert draft.get("data.downsample") == 2


def test_very_much_time_is_spent_on_more_finer_steps_and_one_normalisation():
    draft = Draft()
    draft.set("data.normalise", "study")
    for passes, stages, groups in (
        (rules.LONG, [2, 2, 1], rules.GROUP_FROM),
        (rules.VERY_LONG - 1, [2, 2, 1], rules.GROUP_FROM),
        (rules.VERY_LONG, [2, 1], None),
    ):
        rules.plan_patch(draft, PRINT, 1, rules.Detail(2, passes))
        assert draft.get("training.stages") == stages
        assert draft.get("model.settings").get("group_from") == groups
    assert "half of the steps at 2x" in draft.reasons["training.stages"]


@pytest.mark.parametrize("shape", [(64, 64), (96, 160), (128, 190), (420, 580), (33, 2000)])
@pytest.mark.parametrize("finer", [1, 2])
def test_patches_of_every_stage_fit_the_network(shape, finer):
    draft = Draft()
    patch = rules.plan_patch(draft, replace(PRINT, shapes=(shape,)), 1, rules.Detail(finer))
    divisor = 2 * 2 ** draft.get("model.settings")["depth"]
    for factor in draft.plan().training.stages:
        assert all(side % factor == 0 and side // factor % divisor == 0 for side in patch)


def test_the_time_of_a_fold_follows_from_what_was_asked_for():
    draft = Draft()
    draft.set("training.minutes", 10.0)
    draft.set("training.threads", 2)
    draft.set("training.device", "cpu")
    assert rules.time_a_fold(draft, 4) == pytest.approx(2 * 150 * rules.FOR_TRAINING)
    draft.set("training.cpu_s", 60.0)
    assert rules.time_a_fold(draft, 4) == 60
    draft.set("training.steps", 100)
    assert rules.time_a_fold(draft, 4) == 0


@pytest.mark.parametrize(("cases", "looked_at", "planned"), [(50, 50, True), (1130, 50, False)])
def test_a_sample_must_be_surely_empty_often(cases, looked_at, planned):
    seen = replace(
        PRINT, cases=cases, looked_at=looked_at, present={"dense": 29}, annotated={"dense": 50}
    )  # missing from 42 % of those looked at
    draft = drafted(rules.plan_presence, print_=seen)
    assert (draft.get("scoring.metric") == "challenge") is planned


def test_channels_that_are_no_colours_have_each_its_own_scale():
    two = replace(PRINT, channels=2, coloured=False, mean=(120.0, 9000.0), std=(10.0, 800.0))
    draft = drafted(rules.plan_data, ("a",), 2, "", print_=two)
    assert draft.get("data.normalise") == "channel"
    assert "2 channels" in draft.reasons["data.normalise"]
    grey = replace(PRINT, channels=1, coloured=False)
    assert drafted(rules.plan_data, ("a",), 2, "", print_=grey).get("data.normalise") == "image"


@pytest.mark.parametrize("unit", [1e-4, 1.0])
def test_the_study_s_scale_is_planned_in_its_own_unit(unit):
    small = replace(PRINT, mean=(2.0 * unit,) * 3, std=(0.5 * unit, 0.25 * unit, 1e-6))
    data = drafted(rules.plan_data, ("a",), 2, "", print_=small).plan().data
    assert data.mean == pytest.approx([2.0 * unit] * 3)
    assert data.std == pytest.approx([0.5 * unit, 0.25 * unit, 1.0])


def test_the_scale_of_usual_images_is_planned_with_four_decimals():
    usual = replace(PRINT, mean=(200.123456, 150.5, 0.654321), std=(20.123456, 30.5, 0.123456))
    data = drafted(rules.plan_data, ("a",), 2, "", print_=usual).plan().data
    assert (data.mean, data.std) == ([200.1235, 150.5, 0.6543], [20.1235, 30.5, 0.1235])
