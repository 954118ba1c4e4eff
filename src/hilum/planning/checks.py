"""Whether a finished plan is one for its study, and whether all that was asked for can count."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path

from hilum.errors import PlanError
from hilum.models.registry import NETWORKS, OF_WHOLE_IMAGES
from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint
from hilum.planning.plan import Plan
from hilum.study.depth import mixed_depth
from hilum.study.looked_for import looked_for_findings
from hilum.study.names import listed
from hilum.study.study import Study

logger = logging.getLogger(__name__)


def check_study(plan: Plan, study: Study, task: str, planned: Sequence[str]) -> None:
    """Raise PlanError where a plan is for another task, or for outputs that the study does not have.

    `task` and the outputs `planned` are what the study itself is annotated for.
    """
    if plan.task != task:
        raise PlanError(
            f"task = {plan.task}: {study.root} is annotated for {task}; leave `task` out of the file, and "
            "with it what was planned for the other task"
        )
    known = study.classes if set(planned) <= set(study.classes) else study.targets
    odd = [name for name in plan.data.outputs if name not in known]
    if odd or not plan.data.outputs:
        near = difflib.get_close_matches(odd[0] if odd else "", known, 1, 0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        raise PlanError(
            f"data.outputs = {plan.data.outputs}: {study.root} has {listed(known, 20)}; {hint}"
            "leave data.outputs out of the file, or name some of these"
        )


def check_network(plan: Plan, root: Path) -> None:
    """Raise PlanError where the network or the loss of a plan answers another question than its task asks."""
    labels = plan.task == "classify"
    fitting = [name for name in NETWORKS if (name in OF_WHOLE_IMAGES) == labels]
    recipe = "" if plan.recipe == "planned" else f" or leave --recipe {plan.recipe} out,"
    if plan.model.name in NETWORKS and plan.model.name not in fitting:
        raise PlanError(
            f"model.name = {plan.model.name}: answers {'pixel by pixel' if labels else 'for whole images'}, "
            f"and {root} is annotated for {plan.task};{recipe} choose one of {', '.join(fitting)}"
        )
    if labels and "dice" in plan.training.loss:
        raise PlanError(
            f"training.loss = {plan.training.loss}: is for masks, and {root} is annotated for {plan.task};"
            f"{recipe} say --set training.loss=entropy"
        )


def check_decisions(plan: Plan, planned: Sequence[str]) -> None:
    """Raise PlanError for rules that nothing is decided by, and for some of several exclusive classes.

    `planned` are all outputs that the study is annotated for.
    """
    rules = {"min_sensitivity": plan.scoring.min_sensitivity, "cost": plan.scoring.cost}
    exclusive = plan.task == "classify" and plan.model.activation == "softmax"
    for key, value in rules.items():
        if value is not None and (exclusive or plan.task != "classify"):
            why = (
                "the most probable class is called" if exclusive else f"it is for labels, not for {plan.task}"
            )
            raise PlanError(f"scoring.{key} = {value:g} does nothing here: {why}; leave it out")
    if exclusive and set(plan.data.outputs) != set(planned):
        raise PlanError(
            f"data.outputs = {plan.data.outputs}: these classes exclude each other, so all of them are "
            f"wanted ({listed(planned, 20)}); for some alone say --set model.activation=sigmoid"
        )


def check_line(plan: Plan, line: Draft, steps: int | None, folds: int) -> None:
    """Raise PlanError where what `--set` says on the `line` cannot count beside other wishes.

    `steps` are those of `--steps`, `folds` as many as there will be.
    """
    if line.get("data.folds") == 1 and folds > 1:
        raise PlanError(
            f"data.folds = 1: at least 2 folds are needed, {folds} are planned; --fold 0 trains one of them"
        )
    if (steps or line.get("training.steps")) and line.get("training.epochs"):
        raise PlanError(
            f"training.epochs = {plan.training.epochs:g} beside {plan.training.steps} steps: steps are taken "
            "as they are, and epochs bound those that fit into the time; say one of both"
        )
    if line.get("data.window") and plan.data.normalise != "window":
        raise PlanError(
            f"data.window = {plan.data.window} does nothing beside data.normalise = {plan.data.normalise}; "
            "say --set data.normalise=window, too"
        )
    factor, size = plan.data.downsample, plan.data.size
    if size and factor > 1 and line.get("data.downsample"):
        smaller = [max(1, side // factor) for side in size]
        raise PlanError(
            f"data.downsample = {factor} does nothing beside data.size = {size}, which every image is "
            f"resized to; say --set data.size=[{smaller[0]},{smaller[1]}]"
        )


def tell_looked_for(plan: Plan, study: Study) -> None:
    """Tell which of two classes was taken for what is looked for, as a warning where no word told it."""
    for finding in looked_for_findings(study) if len(plan.data.outputs) == 1 else ():
        logger.log(logging.WARNING if finding.severity == "warning" else logging.INFO, finding.message)


def check_depth(plan: Plan, print_: Fingerprint) -> None:
    """Raise PlanError where images of different bit depth would share the study's mean and spread."""
    words = mixed_depth(print_.tops)
    if words and plan.data.normalise == "study" and not plan.data.flatten_light:
        raise PlanError(
            f"data.normalise = study: the images are of different bit depth ({words}), so their mean and "
            "spread fit none; convert all to one type, or say --set data.normalise=channel"
        )


def check_flips(plan: Plan, print_: Fingerprint) -> None:
    """Raise PlanError where flat images are to be mirrored in depth."""
    flips = plan.training.augmentation.flip
    if "z" in flips and len(print_.median_shape) == 2:
        raise PlanError(
            f"training.augmentation.flip = {flips}: z does nothing, as the images are flat; choose from x, y"
        )


def warn_of_crops(plan: Plan, print_: Fingerprint) -> None:
    """Tell where a whole image is wanted as a sample, and the patch is smaller than the images are."""
    training, data = plan.training, plan.data
    if not training.whole or data.tiles or data.spacing or len(training.patch) != 2:
        return
    height, width = data.size or [round(side / data.downsample) for side in print_.largest_shape[-2:]]
    if training.patch[0] < height or training.patch[1] < width:
        logger.warning(
            "training.whole = true, and images of %d x %d at working resolution are larger than "
            "training.patch = %s: only a crop of each is learnt; say --set training.patch=[%d,%d], or "
            "--set training.whole=false",
            *(height, width, training.patch, -(-height // 32) * 32, -(-width // 32) * 32),
        )
