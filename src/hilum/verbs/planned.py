"""What is settled of a training before any image is decoded for it: its plan and its folds."""

from __future__ import annotations

import torch

from hilum.errors import StudyError
from hilum.planning.device import check_device, find_device
from hilum.planning.plan import Plan
from hilum.planning.planner import Wishes, line_folds, make_plan
from hilum.study.splits import Splits, read_splits
from hilum.study.study import Study
from hilum.training.fitting import fitted_to_memory
from hilum.training.losses import find_loss
from hilum.training.parallel import memory_each, processes
from hilum.training.run import make_network
from hilum.verbs.folding import hold_some_back, plan_folds
from hilum.verbs.resuming import Options, chosen_folds


def planned(study: Study, wishes: Wishes, options: Options) -> tuple[Plan, Splits, int]:
    """The plan that fits the memory, the folds, and the weights of the network.

    Raises StudyError, PlanError or TrainingError where nothing can be trained by it on this machine.
    """
    splits = _splits(study, wishes, options)
    plan = make_plan(study, wishes, len(splits.folds), splits.reason).plan
    check_device(plan.training.device)
    weights = _check_buildable(plan)
    plan = fitted_to_memory(plan, memory_each(find_device(wishes.device)), processes())
    share = plan.training.validation
    return plan, hold_some_back(splits, study, share) if share else splits, weights


def _splits(study: Study, wishes: Wishes, options: Options) -> Splits:
    splits = read_splits(options.splits, study) if options.splits else plan_folds(study, wishes)
    asked = line_folds(wishes)
    if options.splits and asked not in (None, len(splits.folds)):
        said = f"--folds {asked}" if wishes.folds else f"--set data.folds={asked}"
        raise StudyError(f"{said}: {options.splits} fixes {len(splits.folds)} folds; leave one of both out")
    chosen_folds(splits, options)
    return splits


def _check_buildable(plan: Plan) -> int:
    """The size of the network, in weights, before any image is decoded or anything written.

    Raises PlanError for a network or loss that is none.
    """
    find_loss(plan.training.loss)
    with torch.device("meta"):
        return sum(value.numel() for value in make_network(plan).state_dict().values())
