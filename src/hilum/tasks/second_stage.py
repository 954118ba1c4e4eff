"""The second classifier: small blocks around candidates, nodule or not (the recognition stage)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum import models
from hilum.ct.candidates import Candidate
from hilum.ct.coordinates import voxel_to_world
from hilum.ct.grids import cut_cube
from hilum.errors import RunError
from hilum.image.image import Image
from hilum.inference.predictor import make_predictor, predict_batch
from hilum.planning.plan import AugmentationPlan, DataPlan, InferencePlan, ModelPlan, Plan, TrainingPlan
from hilum.study.masks import read_case_image
from hilum.study.study import Case, Study
from hilum.tasks.candidates import candidates_in, status_of
from hilum.tasks.scans import nodule_marks, other_marks, read_scan
from hilum.training.budget import MOST_FOLLOWED
from hilum.training.loop import Trainer, make_fabric, train_fold
from hilum.training.prepare import normalise
from hilum.training.run import Run, load_network, write_history
from hilum.training.samples import Sample, labelled_sample
from hilum.training.state import load_tensors, save_tensors

logger = logging.getLogger(__name__)
WEIGHTS, HISTORY = "second.safetensors", "second-history.csv"
MOST_CUBES = 6000
AROUND_A_MARK = 4
LOOKALIKES = 24
ROOM = 1.4
_AT_ONCE = 128


def second_plan(plan: Plan) -> Plan:
    """The plan of the second classifier, made from the detector's."""
    wanted = plan.detection
    augmentation = AugmentationPlan(
        rotate_deg=180, scale=0.15, shift=0.06, flip=["x", "y", "z"], contrast=0.1, brightness=0.1, noise=0.1
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
        name="resnet", settings={"dims": 3, "width": wanted.width, "blocks": [1, 1, 1], "stem": 2}
    )
    return Plan(
        task=plan.task, data=data, model=model, training=training, inference=InferencePlan(flips=["x", "y"])
    )


def make_second(plan: Plan) -> nn.Module:
    """A fresh classifier of cubes, from the plan's seed."""
    torch.manual_seed(plan.training.seed)
    return models.create(plan.model.name, 1, 1, **plan.model.settings)


def cube_side(plan: Plan) -> int:
    """Voxels a side of the cubes that are kept: room to turn and shift what is seen."""
    return 2 * round(plan.training.patch[0] * ROOM / 2)


def prepared_cube(image: Image, centre: Sequence[float], side: int, cube_mm: float, plan: Plan) -> Tensor:
    """A normalised cube (1, side, side, side) around a world centre."""
    return normalise(torch.from_numpy(cut_cube(image, centre, side, cube_mm))[None], plan.data)


def trainer_of(plan: Plan, cubes: Sequence[Sample], fold: int) -> Trainer:
    """What trains the second classifier, by the same loop as everything else."""
    fabric = make_fabric(plan)
    weights = torch.ones(2, 1, device=fabric.device)
    return Trainer(make_second(plan), plan, cubes, fold, fabric, weights)


def blank_trainer(plan: Plan) -> Trainer:
    """A trainer on cubes of nothing, for timing a step before there are candidates."""
    side = cube_side(plan)
    cubes = [_sample(str(at), torch.zeros(1, side, side, side), at % 2) for at in range(plan.training.batch)]
    return trainer_of(plan, cubes, 0)


def train_second(run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int) -> None:
    """Train the classifier of a fold on candidates in its own training scans, unless it is there."""
    if (run.fold(fold) / WEIGHTS).is_file():
        return
    plan = second_plan(run.plan)
    cubes = list(_training_cubes(run, study, samples, fold, plan))
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


def _training_cubes(
    run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int, plan: Plan
) -> Iterator[Sample]:
    """Cubes of true marks, of candidates and of look-alikes in the scans that the fold learnt from."""
    names = [*run.splits.folds[fold].train, *run.splits.folds[fold].val]
    by_name = {case.name: case for case in study.cases}
    cases = sorted((by_name[name] for name in names), key=lambda case: not nodule_marks(case))[:MOST_FOLLOWED]
    predictor = make_predictor([load_network(run, fold)], run.plan)
    most = max(8, MOST_CUBES // max(1, len(cases)))
    for case in cases:
        (sample,) = samples[case.name]
        probability = predictor.prepared(sample.stack[: sample.channels])
        yield from _cubes_of(case, sample, probability[0], run.plan, plan, most)


def _cubes_of(
    case: Case, sample: Sample, probability: NDArray[np.float32], plan: Plan, second: Plan, most: int
) -> Iterator[Sample]:
    image = read_case_image(case)
    scan = read_scan(image, plan.data)
    rng = np.random.default_rng(len(case.name))
    found = candidates_in(scan, probability, plan.detection)
    places: list[tuple[Sequence[float], int]] = []
    for mark in nodule_marks(case):
        reach = mark.diameter_mm / 8
        moves = rng.uniform(-reach, reach, (AROUND_A_MARK, 3))
        places += [((np.asarray(mark.centre) + move).tolist(), 1) for move in moves]
    for one, status in zip(found, status_of(found, nodule_marks(case), other_marks(case)), strict=True):
        if status.name != "ignored":
            places.append((one.centre, int(status.name in ("hit", "double"))))
    if len(sample.centres) > 1 and len(sample.centres[1]):
        alike = sample.centres[1][rng.integers(len(sample.centres[1]), size=LOOKALIKES)]
        places += [(place, 0) for place in voxel_to_world(scan.grid, alike).tolist()]
    side, size = cube_side(second), plan.detection.cube_mm
    for number, (centre, label) in enumerate(places[:most]):
        cube = prepared_cube(image, centre, side, size, second)
        yield _sample(f"{case.name} {number}", cube, label)


def _sample(name: str, cube: Tensor, label: int) -> Sample:
    return labelled_sample(name, cube, torch.tensor([float(label)]), torch.ones(1))


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
