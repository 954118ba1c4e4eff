import pytest

from hilum.errors import PlanError
from hilum.planning.draft import Draft, apply_settings, check_key, flat, keys, validated
from hilum.planning.plan import Plan


def settle(*settings):
    draft = Draft()
    apply_settings(draft, settings)
    return draft.plan()


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("training.batch=8", "training.batch", 8),
        ("training.learning_rate=3e-4", "training.learning_rate", 3e-4),
        ("training.learning_rate=0.001", "training.learning_rate", 1e-3),
        ("training.whole=true", "training.whole", True),
        ("training.patch=[64, 96]", "training.patch", [64, 96]),
        ("inference.tile=null", "inference.tile", None),
        ("inference.flips=[x]", "inference.flips", ["x"]),
        ("scoring.threshold=0.4", "scoring.threshold", 0.4),
        ("scoring.threshold=fit", "scoring.threshold", "fit"),
        ("model.settings.depth=3", "model.settings", {"depth": 3}),
        (" training.seed = 5", "training.seed", 5),
    ],
)
def test_a_setting_is_read_as_its_type(setting, key, value):
    plan = settle(setting)
    node = plan
    for part in key.split("."):
        node = getattr(node, part)
    assert node == value
    assert type(node) is type(value)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("training.batch", "KEY=VALUE"),
        ("training.bach=8", "did you mean training.batch?"),
        ("batch=8", "did you mean training.batch?"),
        ("training.augmentation.rotate=3", "did you mean training.augmentation.rotate_deg?"),
        ("zzzzzz=1", "hilum plan FOLDER prints every key"),
        ("training.batch=[", "is not a value"),
        ("training.batch=eight", "training.batch = 'eight'"),
        ("training.batch=-1", "training.batch = -1"),
        ("training.precision=64-true", "32-true"),
        ("training.rare_share=1.5", "less than or equal to 1"),
        ("version=3", "version"),
        ("training.seed=-1", "training.seed = -1"),
        ("data=5", "data = 5: is a group of settings; set one of them, like data.channels="),
        ("training.augmentation=", "like training.augmentation.rotate_deg="),
    ],
)
def test_a_wrong_setting_names_what_is_right(setting, says):
    with pytest.raises(PlanError) as caught:
        settle(setting)
    assert says in str(caught.value)


def test_later_settings_win_and_a_whole_group_replaces_its_parts():
    assert settle("training.batch=2", "training.batch=9").training.batch == 9
    draft = Draft()
    draft.set("model.settings.depth", 3)
    draft.set("model.settings", {"width": 8})
    assert draft.plan().model.settings == {"width": 8}


def test_every_wrong_key_is_listed_at_once():
    with pytest.raises(PlanError) as caught:
        validated({"training": {"batch": 0, "clip": -1}}, "my.yaml")
    assert "training.batch" in str(caught.value)
    assert "training.clip" in str(caught.value)
    assert str(caught.value).startswith("my.yaml")


def test_reasons_of_nothing_are_not_kept():
    draft = Draft()
    draft.set("training.batch", 8, "fits")
    draft.set("training.clip", 1.0)
    assert draft.plan().reasons == {"training.batch": "fits"}


def test_every_value_of_a_plan_is_a_key():
    for key, _ in flat(Plan().model_dump()):
        check_key(key)
    assert "reasons" not in keys()


@pytest.mark.parametrize(
    "key", ["", ".", "training.", ".batch", "training..batch", "reasons", "training.batch.x"]
)
def test_odd_keys_are_refused(key):
    with pytest.raises(PlanError, match="unknown key"):
        check_key(key)


def test_moves_are_for_labels_only():
    draft = Draft()
    draft.set("inference.moves", True)
    with pytest.raises(PlanError, match=r"inference\.moves = true is for labels .* set it to false"):
        draft.plan()
    draft.set("task", "classify")
    assert draft.plan().inference.moves


def test_thresholds_of_images_are_for_masks_alone():
    draft = Draft()
    draft.set("scoring.threshold", "image")
    assert draft.plan().scoring.threshold == "image"
    draft.set("task", "classify")
    with pytest.raises(PlanError, match="for masks"):
        draft.plan()


def test_nothing_behind_the_colon_of_a_group_says_nothing():
    tree = {"data": None, "training": {"batch": 4, "augmentation": None, "minutes": None}}
    assert list(flat(tree)) == [("training.batch", 4), ("training.minutes", None)]


def test_a_plan_leaves_the_values_of_its_draft_alone():
    """Single settings go into the planned group, whose values are compared with later ones."""
    draft = Draft()
    draft.set("model.settings", {"width": 8})
    draft.set("model.settings.depth", 3)
    assert draft.plan().model.settings == {"width": 8, "depth": 3}
    assert draft.get("model.settings") == {"width": 8}
