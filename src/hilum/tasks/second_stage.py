"""The second classifier: small blocks around candidates, nodule or not (the recognition stage)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hilum import models
from hilum.ct.candidates import Candidate
from hilum.errors import RunError
from hilum.image.image import Image
from hilum.inference.predictor import make_predictor, predict_batch
from hilum.planning.plan import AugmentationPlan, DataPlan, InferencePlan, ModelPlan, Plan, TrainingPlan
from hilum.study.study import Study
from hilum.tasks.nodule_cubes import blank_cubes, prepared_cube, training_cubes
from hilum.training.loop import Trainer, make_fabric, train_fold
from hilum.training.run import Run, write_history
from hilum.training.samples import Sample
from hilum.training.state import load_tensors, save_tensors

logger = logging.getLogger(__name__)
WEIGHTS, HISTORY = "second.safetensors", "second-history.csv"
_AT_ONCE = 128


def second_plan(plan: Plan) -> Plan:
    """The plan of the second classifier, made from the detector's."""
    wanted = plan.detection
    augmentation = AugmentationPlan(
        rotate_deg=180,
        tumble=True,
        scale=0.15,
        shift=0.04,
        flip=["x", "y", "z"],
        contrast=0.1,
        brightness=0.1,
        noise=0.1,
    )
    training = TrainingPlan(
        patch=[wanted.cube] * 3,
        whole=True,
        batch=wanted.batch,
        rare_share=0.8,
        loss="entropy",
        learning_rate=3e-3,
        weight_decay=0.05,
        warmup=20,
        steps=wanted.steps,
        precision=plan.training.precision,
        device=plan.training.device,
        threads=plan.training.threads,
        seed=plan.training.seed,
        augmentation=augmentation,
    )
    data = DataPlan(
        channels=1,
        outputs=plan.data.outputs[:1],
        dims=3,
        normalise=plan.data.normalise if plan.data.normalise == "window" else "image",
        window=plan.data.window,
        mean=plan.data.mean,
        std=plan.data.std,
    )
    model = ModelPlan(
        name="resnet",
        settings={"dims": 3, "width": wanted.width, "blocks": [1, 1, 1], "stem": 2, "pool": "middle"},
    )
    return Plan(
        task=plan.task,
        data=data,
        model=model,
        training=training,
        inference=InferencePlan(flips=["x", "y", "z"]),
    )


def make_second(plan: Plan) -> nn.Module:
    """A fresh classifier of cubes, from the plan's seed."""
    torch.manual_seed(plan.training.seed)
    return models.create(plan.model.name, 1, 1, **plan.model.settings)


def trainer_of(plan: Plan, cubes: Sequence[Sample], fold: int) -> Trainer:
    """What trains the second classifier, by the same loop as everything else."""
    fabric = make_fabric(plan)
    weights = torch.ones(2, 1, device=fabric.device)
    return Trainer(make_second(plan), plan, cubes, fold, fabric, weights)


def blank_trainer(plan: Plan) -> Trainer:
    """A trainer on cubes of nothing, for timing a step before there are candidates."""
    return trainer_of(plan, blank_cubes(plan), 0)


def train_second(run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int) -> None:
    """Train the classifier of a fold on candidates in its own training scans, unless it is there."""
    if (run.fold(fold) / WEIGHTS).is_file():
        return
    plan = second_plan(run.plan)
    cubes = training_cubes(run, study, samples, fold, plan)
    kinds = {float(cube.label) for cube in cubes if cube.label is not None}
    if len(kinds) < 2 or plan.training.steps is None:
        logger.warning("fold %d: no candidates of both kinds to learn from; no second classifier", fold)
        return
    true = sum(float(cube.label) for cube in cubes if cube.label is not None)
    logger.info("fold %d: second classifier on %d blocks, %d of nodules", fold, len(cubes), true)
    state = run.fold(fold) / "state" / "second.safetensors"
    network, history = train_fold(trainer_of(plan, cubes, fold), plan.training.steps, state)
    write_history(run.fold(fold) / HISTORY, history.rows)
    save_tensors(run.fold(fold) / WEIGHTS, network.state_dict(), {})
    state.unlink(missing_ok=True)


def load_second(run: Run, folds: Sequence[int]) -> tuple[nn.Module, ...]:
    """The second classifiers of these folds that are there, ready to answer.

    Raises RunError where weights do not fit the plan.
    """
    plan = second_plan(run.plan)
    networks = []
    for fold in folds:
        path = run.fold(fold) / WEIGHTS
        if not path.is_file():
            continue
        network = make_second(plan)
        try:
            network.load_state_dict(load_tensors(path)[0])
        except RuntimeError as error:
            raise RunError(f"{path}: the weights do not fit the plan ({error})") from error
        networks.append(network)
    return make_predictor(networks, plan).networks


@torch.inference_mode()
def judged(
    networks: Sequence[nn.Module], image: Image, found: Sequence[Candidate], plan: Plan
) -> NDArray[np.float64]:
    """Probability (N,) that each candidate is a nodule, of all networks together."""
    second = second_plan(plan)
    side, size = second.training.patch[0], plan.detection.cube_mm
    answers = []
    for start in range(0, len(found), _AT_ONCE):
        part = found[start : start + _AT_ONCE]
        cubes = torch.stack([prepared_cube(image, one.centre, side, size, second) for one in part])
        votes = [predict_batch(network, cubes, second)[:, 0] for network in networks]
        answers.append(torch.stack(votes).mean(0).double().numpy())
    return np.concatenate(answers) if answers else np.zeros(0)
