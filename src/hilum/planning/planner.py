"""A Study becomes a Plan: rules of the task, then a recipe, then what the user set."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from hilum import tasks
from hilum.errors import PlanError
from hilum.planning.checks import (
    check_decisions,
    check_depth,
    check_flips,
    check_line,
    check_network,
    check_study,
    tell_looked_for,
    warn_of_crops,
)
from hilum.planning.device import find_device
from hilum.planning.document import apply_file
from hilum.planning.draft import Draft, apply_settings, flat, validated
from hilum.planning.fingerprint import Fingerprint, take_fingerprint
from hilum.planning.plan import Plan
from hilum.planning.rules import drop_quiet_time, drop_stages, fill_normalisation, plan_device, plan_time
from hilum.study.study import Study

# What coarse stages are planned for; they hold for no other resolution, patch or network.
STAGED = (
    "data.dims",
    "data.downsample",
    "data.size",
    "data.tiles",
    "model.name",
    "model.settings",
    "training.patch",
    "training.whole",
)
# What patch, batch, tile and network are planned for.
RESOLUTION = ("data.downsample", "data.size")
# Each ends a training: given anew, it does so in place of the steps that a file has counted.
ENDS = ("training.minutes", "training.cpu_s", "training.epochs")
# In the reason of a batch that was made smaller than `--set` says: a run's plan.yaml tells it so.
SHRUNK = "would not fit into"
# Settings that other choices depend on, so they are taken before these.
TIMING = ("training.cpu_s", "training.minutes", "training.steps", "training.threads", "training.precision")


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; everything else is planned."""

    minutes: float | None = None
    steps: int | None = None
    folds: int | None = None
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    device: str = "auto"
    group_by: str | None = None


@dataclass(frozen=True)
class Planned:
    """A plan and the fingerprint it was made from."""

    plan: Plan
    fingerprint: Fingerprint
    task: str = field(default="segment")


def make_plan(study: Study, wishes: Wishes, folds: int, folds_reason: str) -> Planned:
    """Plan every setting of a run.

    Raises PlanError for an unknown recipe or setting, or one that does not fit the study or the others,
    StudyError where there is nothing to learn from.
    """
    fingerprint = take_fingerprint(study)
    task = tasks.find_task(study)
    draft = Draft()
    draft.set("task", task.name, task.why(study))
    plan_device(draft, find_device(wishes.device))
    plan_time(draft, wishes.minutes, wishes.steps, len(study.cases))
    apply_settings(draft, tuple(each for each in wishes.settings if each.strip().startswith(TIMING)))
    task.plan(draft, study, fingerprint, folds, folds_reason)
    planned = dict(draft.values)
    _hear(draft, wishes, len(study.cases))
    if any(draft.get(key) != planned.get(key) for key in RESOLUTION):
        draft.plan()  # wrong values are refused before anything is planned by them
        task.plan_sizes(draft, fingerprint)
        _hear(draft, wishes, len(study.cases))
    draft.set("data.folds", folds, folds_reason)
    drop_quiet_time(draft)
    if "training.stages" not in _wished(wishes).values:
        drop_stages(draft, [key for key in STAGED if draft.get(key) != planned.get(key)])
    fill_normalisation(draft, fingerprint, planned)
    plan = draft.plan()
    check_study(plan, study, task.name, planned["data.outputs"])
    check_network(plan, study.root)
    check_decisions(plan, planned["data.outputs"])
    check_line(plan, _set(wishes), wishes.steps, folds)
    check_depth(plan, fingerprint)
    check_flips(plan, fingerprint)
    warn_of_crops(plan, fingerprint)
    if plan.data.outputs == planned["data.outputs"]:
        tell_looked_for(plan, study)
    return Planned(plan, fingerprint, task.name)


def _hear(draft: Draft, wishes: Wishes, cases: int) -> None:
    """What a file, the options and `--set` say, each over the one before, and all over what is planned."""
    if wishes.recipe:
        apply_file(draft, find_recipe(wishes.recipe), f"from {wishes.recipe}")
        draft.set("recipe", wishes.recipe, "asked for")
        _forget_steps(draft, _set(wishes))
    _apply_line(draft, wishes, cases)
    apply_settings(draft, wishes.settings)


def _forget_steps(draft: Draft, line: Draft) -> None:
    """The steps of a file go where `--set` gives another end, as they do with `--minutes`."""
    given = [key for key in ENDS if line.get(key) is not None]
    forgotten = ("training.steps", "detection.steps") if given else ()
    for key in (*forgotten, *(["training.cpu_s"] if "training.minutes" in given else [])):
        draft.set(key, None)


def _apply_line(draft: Draft, wishes: Wishes, cases: int) -> None:
    """What the command line says besides `--set`, over what a file says."""
    if wishes.minutes or wishes.steps:
        plan_time(draft, wishes.minutes, wishes.steps, cases)
    if wishes.device not in ("auto", draft.get("training.device")):
        plan_device(draft, find_device(wishes.device))
    if wishes.group_by:
        draft.set("data.group_by", wishes.group_by, "asked for")


def unheard(plan: Plan, wishes: Wishes, folds: int) -> list[str]:
    """Options that say something else than a finished plan of so many folds, which goes on as it is."""
    asked = {
        "--minutes": (wishes.minutes, plan.training.minutes),
        "--steps": (wishes.steps, plan.training.steps),
        "--folds": (wishes.folds, folds),
        "--recipe": (wishes.recipe, plan.recipe),
        "--group-by": (wishes.group_by, plan.data.group_by),
        "--device": (None if wishes.device == "auto" else wishes.device, plan.training.device),
    }
    differing = [option for option, (wish, is_so) in asked.items() if wish is not None and wish != is_so]
    values = plan.model_dump(mode="json", exclude={"reasons"})
    draft = Draft(dict(flat(copy.deepcopy(values))))
    shrunk = SHRUNK in plan.reasons.get("training.batch", "")
    left_out = "training.batch" if shrunk else "-"
    apply_settings(draft, tuple(s for s in wishes.settings if not s.strip().startswith(left_out)))
    same = draft.plan().model_dump(mode="json", exclude={"reasons"}) == values
    return differing if same else [*differing, "--set"]


def wished_folds(wishes: Wishes) -> int | None:
    """The number of folds that the command line, `--set` or the recipe asks for; None where none does."""
    if wishes.folds is not None:
        return wishes.folds
    folds = _folds_in(_wished(wishes))
    return folds if folds is not None and folds > 1 else None


def line_folds(wishes: Wishes) -> int | None:
    """The number of folds that `--folds` or `--set` asks for, whatever a recipe says."""
    return wishes.folds if wishes.folds is not None else _folds_in(_set(wishes))


def _folds_in(draft: Draft) -> int | None:
    folds = draft.get("data.folds")
    return None if folds is None else validated({"data": {"folds": folds}}).data.folds


def wished_group_by(wishes: Wishes) -> str | None:
    """The expression for the groups that the command line, `--set` or the recipe asks for."""
    said = _wished(wishes).get("data.group_by")
    return wishes.group_by or validated({"data": {"group_by": said}}).data.group_by


def _wished(wishes: Wishes) -> Draft:
    """What the recipe and `--set` say, before a study is known."""
    draft = Draft()
    if wishes.recipe:
        apply_file(draft, find_recipe(wishes.recipe), "")
    apply_settings(draft, wishes.settings)
    return draft


def _set(wishes: Wishes) -> Draft:
    """What `--set` says."""
    draft = Draft()
    apply_settings(draft, wishes.settings)
    return draft


def recipe_names() -> list[str]:
    """Names of the recipes that come with Hilum."""
    return sorted(
        Path(item.name).stem
        for item in files("hilum.planning").joinpath("recipes").iterdir()
        if item.name.endswith(".yaml")
    )


def find_recipe(name: str) -> Path:
    """The file of a recipe by name, or a plan file. Raises PlanError where there is none."""
    inside = Path(str(files("hilum.planning").joinpath("recipes", f"{name}.yaml")))
    if "/" not in name and inside.is_file():
        return inside
    if Path(name).is_file():
        return Path(name)
    raise PlanError(
        f"--recipe {name}: neither a plan file nor one of {', '.join(recipe_names()) or 'no recipes'}"
    )
