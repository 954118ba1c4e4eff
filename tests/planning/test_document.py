import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import PlanError
from hilum.files import stays_inside
from hilum.planning.document import LIMIT_BYTES, apply_file, read_plan, read_values, to_yaml, write_plan
from hilum.planning.draft import Draft, flat
from hilum.planning.plan import AugmentationPlan, DataPlan, ModelPlan, Plan, TrainingPlan

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12
)
REASONS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40).map(
    lambda text: " ".join(text.split())
)


def same(one, other):
    return one.model_dump() == other.model_dump()


def test_a_plan_survives_the_file(tmp_path):
    plan = Plan(data=DataPlan(outputs=["Lung", "Airway"], mean=[1.5], std=[2.0]))
    plan.reasons = {"data.outputs": "in the study's order", "training.batch": "32,768 pixels a step # really"}
    write_plan(plan, tmp_path / "plan.yaml")
    back = read_plan(tmp_path / "plan.yaml")
    assert same(plan, back)
    assert back.reasons == plan.reasons


@settings(max_examples=40, deadline=None)
@given(
    outputs=st.lists(NAMES.filter(stays_inside), max_size=3),
    rate=st.floats(1e-8, 1e2),
    group_by=st.none() | NAMES,
    seed=st.integers(0, 2**31),
    flips=st.lists(st.sampled_from("xyz"), unique=True),
    depth=st.integers(1, 9),
    reason=REASONS,
)
def test_any_plan_survives_the_file(tmp_path_factory, outputs, rate, group_by, seed, flips, depth, reason):
    plan = Plan(
        data=DataPlan(outputs=outputs, group_by=group_by),
        model=ModelPlan(settings={"depth": depth, "norm": "batch"}),
        training=TrainingPlan(learning_rate=rate, seed=seed, augmentation=AugmentationPlan(flip=flips)),
    )
    plan.reasons = {"training.seed": reason} if reason else {}
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    write_plan(plan, path)
    back = read_plan(path)
    assert same(plan, back)
    assert back.reasons.get("training.seed", "") == reason


@pytest.mark.parametrize("group_by", ["\u00a0", "\u2003a", " a ", "#", "~"])
def test_odd_spaces_and_signs_survive_the_file(tmp_path, group_by):
    write_plan(Plan(data=DataPlan(group_by=group_by)), tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml").data.group_by == group_by


def test_the_yaml_is_one_line_a_value_with_its_reason_behind():
    plan = Plan()
    plan.reasons = {"training.batch": "fits in\nmemory"}
    (line,) = [line for line in to_yaml(plan).splitlines() if line.strip().startswith("batch:")]
    assert line.split("#")[1].strip() == "fits in memory"
    assert len(to_yaml(plan).splitlines()) < 110


def test_the_yaml_is_plain_for_other_readers():
    tree = yaml.safe_load(to_yaml(Plan(data=DataPlan(outputs=["yes", "3", "one: two"]))))
    assert tree["data"]["outputs"] == ["yes", "3", "one: two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task: [", "not valid YAML"),
        ("just words", "is not a plan"),
        ("- 1\n- 2", "is not a plan"),
        ("1: 2", "is not a plan"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("task: !!python/object:os.system x", "not valid YAML"),
        ("trainig:\n  batch: 3", "did you mean training"),
        ("training:\n  batch: many", "training.batch"),
        ("training:\n  batch: 0", "training.batch"),
        ("data:\n  dims: 4", "data.dims"),
        ("training:\n  learning_rate: .nan", "training.learning_rate"),
        ("training: 3", "training"),
        ("version: 2", "version"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(tmp_path, text, says):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match=says) as caught:
        read_plan(path)
    assert "\n" not in str(caught.value)
    assert "plan" in str(caught.value)


def test_a_missing_or_huge_or_binary_file_is_refused(tmp_path):
    with pytest.raises(PlanError, match="cannot be read"):
        read_values(tmp_path / "none.yaml")
    (tmp_path / "huge.yaml").write_text("task: x\n" + "#" * LIMIT_BYTES)
    with pytest.raises(PlanError, match="larger than"):
        read_values(tmp_path / "huge.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PlanError, match="not text in UTF-8"):
        read_values(tmp_path / "binary.yaml")


def test_a_byte_order_mark_is_no_part_of_a_plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("training:\n  batch: 7  # as my friend says\n", encoding="utf-8-sig")
    assert read_plan(path).training.batch == 7
    assert read_plan(path).reasons == {"training.batch": "as my friend says"}


def test_a_file_goes_over_a_draft_and_brings_its_own_reasons(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  batch: 7  # as my friend says\n  clip: 2.0\n")
    draft = Draft()
    draft.set("training.batch", 3, "planned")
    draft.set("training.ema", 0.9, "planned")
    apply_file(draft, path, "from mine.yaml")
    plan = draft.plan()
    assert (plan.training.batch, plan.training.clip, plan.training.ema) == (7, 2.0, 0.9)
    assert plan.reasons["training.batch"] == "as my friend says"
    assert plan.reasons["training.clip"] == "from mine.yaml"


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_every_value_of_a_default_plan_is_written_that_its_task_has(task):
    plan = Plan(task=task)
    written = {key for key, value in flat(yaml.safe_load(to_yaml(plan)))}
    wanted = {key for key, value in flat(plan.model_dump(mode="json"))}
    assert written == {key for key in wanted if task == "detect" or not key.startswith("detection.")}
