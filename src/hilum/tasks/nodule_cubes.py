"""What the second classifier learns from: blocks around nodules, around look-alikes, and planted nodules."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.ct.coordinates import voxel_to_world
from hilum.ct.grids import cut_cube
from hilum.ct.planting import planted, turned, visible
from hilum.image.image import Image
from hilum.inference.predictor import make_predictor
from hilum.planning.plan import Plan
from hilum.scoring.detection import radius_mm
from hilum.study.marked import nodule_marks
from hilum.study.masks import read_case_image
from hilum.study.study import Case, Mark, Study
from hilum.tasks.candidates import candidates_in, status_of
from hilum.tasks.scans import Scan, other_marks, read_scan
from hilum.training.budget import MOST_FOLLOWED
from hilum.training.prepare import normalise
from hilum.training.run import Run, load_network
from hilum.training.samples import Sample, labelled_sample

MOST_CUBES = 6000
AROUND_A_MARK = 4
LOOKALIKES = 24
ANYWHERE = 60
ROOM = 1.4
# Positives that are enough to learn from: what marks do not give is planted.
ENOUGH = 1600
# The screening programmes count nodules from 3 mm on.
SMALLEST_MM = 3.0
SHRINK, GROW = 2.0, 1.25
ASIDE_MM = 14.0
CLEAR_MM = 4.0
# A nodule planted into a thicker vessel is none: so much of its ball must have become denser.
SEEN, TRIES = 0.4, 8
Cube = NDArray[np.float32]


@dataclass
class _Parts:
    """What nodules are planted from: cut-outs with their radius in voxels, and places to put them."""

    wanted: int
    cases: int
    marks: int
    nodules: list[tuple[NDArray[np.float16], float]] = field(default_factory=list)
    grounds: list[NDArray[np.float16]] = field(default_factory=list)

    @property
    def per_case(self) -> int:
        return math.ceil(self.wanted / max(1, self.cases))

    @property
    def per_mark(self) -> int:
        return math.ceil(self.wanted / max(1, self.marks))


def cube_side(plan: Plan) -> int:
    """Voxels a side of the cubes that are kept: room to turn and shift what is seen."""
    return 2 * round(plan.training.patch[0] * ROOM / 2)


def prepared_cube(image: Image, centre: Sequence[float], side: int, cube_mm: float, plan: Plan) -> Tensor:
    """A normalised cube (1, side, side, side) around a world centre."""
    return _prepared(cut_cube(image, centre, side, cube_mm), plan)


def training_cubes(
    run: Run, study: Study, samples: Mapping[str, Sequence[Sample]], fold: int, second: Plan
) -> list[Sample]:
    """Labelled cubes from the scans that a fold learnt from: true ones, planted ones and look-alikes."""
    names = [*run.splits.folds[fold].train, *run.splits.folds[fold].val]
    by_name = study.by_name
    cases = sorted((by_name[name] for name in names), key=lambda case: not nodule_marks(case))[:MOST_FOLLOWED]
    marks = sum(len(nodule_marks(case)) for case in cases)
    parts = _Parts(max(0, ENOUGH - AROUND_A_MARK * marks) if marks else 0, len(cases), marks)
    predictor = make_predictor([load_network(run, fold)], run.plan)
    most = max(8, MOST_CUBES // max(1, len(cases)))
    cubes: list[Sample] = []
    for case in cases:
        (sample,) = samples[case.name]
        probability = predictor.prepared(sample.stack[: sample.channels])
        cubes += _cubes_of(case, sample, probability[0], run.plan, second, most, parts)
    return [*cubes, *_planted(parts, second, np.random.default_rng([second.training.seed, fold]))]


def _cubes_of(
    case: Case,
    sample: Sample,
    probability: NDArray[np.float32],
    plan: Plan,
    second: Plan,
    most: int,
    parts: _Parts,
) -> Iterator[Sample]:
    image = read_case_image(case)
    scan = read_scan(image, plan.data)
    rng = np.random.default_rng([second.training.seed, zlib.crc32(case.name.encode())])
    found = candidates_in(scan, probability, plan.detection)
    side, size = cube_side(second), plan.detection.cube_mm
    near = _around_marks(nodule_marks(case), rng)
    false: list[Sequence[float]] = []
    true: list[Sequence[float]] = []
    for one, status in zip(found, status_of(found, nodule_marks(case), other_marks(case)), strict=True):
        if status.name != "ignored":
            (true if status.name in ("hit", "double") else false).append(one.centre)
    alike = sample.centres[1] if len(sample.centres) > 1 else np.zeros((0, 3), np.int32)
    away = [*false, *_some(alike, scan, LOOKALIKES, case, rng), *_inside(scan, ANYWHERE, case, rng)]
    places = [*((place, 1) for place in [*near, *true]), *((place, 0) for place in away)]
    for number, (centre, label) in enumerate(places[:most]):
        yield _sample(f"{case.name} {number}", prepared_cube(image, centre, side, size, second), label)
    if parts.wanted:
        parts.nodules += _cut_out(image, nodule_marks(case), side, size, parts.per_mark, rng)
        third = math.ceil(parts.per_case / 3)
        grounds = [
            *_some(alike, scan, third, case, rng),
            *_beside(false, third, rng),
            *_inside(scan, third, case, rng),
        ]
        parts.grounds += [cut_cube(image, place, side, size).astype(np.float16) for place in grounds]


def _around_marks(marks: Sequence[Mark], rng: np.random.Generator) -> list[list[float]]:
    """Places near the centre of each mark, off it by up to an eighth of its diameter."""
    return [
        (np.asarray(mark.centre) + move).tolist()
        for mark in marks
        for move in rng.uniform(-mark.diameter_mm / 8, mark.diameter_mm / 8, (AROUND_A_MARK, 3))
    ]


def _inside(scan: Scan, count: int, case: Case, rng: np.random.Generator) -> list[list[float]]:
    """Places anywhere in the lungs, but for nodules and other findings."""
    return _some(np.argwhere(scan.inside), scan, count, case, rng)


def _some(
    voxels: NDArray[np.integer], scan: Scan, count: int, case: Case, rng: np.random.Generator
) -> list[list[float]]:
    if not len(voxels):
        return []
    chosen = voxels[rng.integers(len(voxels), size=count)]
    places = np.asarray(voxel_to_world(scan.grid, chosen))
    return [place.tolist() for place in places if _clear(place, case)]


def _clear(place: NDArray[np.float64], case: Case) -> bool:
    return all(
        float(np.linalg.norm(place - np.asarray(mark.centre))) > radius_mm(mark) + CLEAR_MM
        for mark in case.marks or ()
    )


def _beside(places: Sequence[Sequence[float]], count: int, rng: np.random.Generator) -> list[list[float]]:
    """Places near look-alikes, so that these are seen with a nodule beside them and without one."""
    if not places:
        return []
    chosen = np.asarray(places)[rng.integers(len(places), size=count)]
    moved: list[list[float]] = (chosen + rng.uniform(-ASIDE_MM, ASIDE_MM, chosen.shape)).tolist()
    return moved


def _cut_out(
    image: Image, marks: Sequence[Mark], side: int, cube_mm: float, count: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.float16], float]]:
    """Each nodule several times, shrunk or grown, with its radius in voxels."""
    found = []
    for mark in marks:
        shrink = max(1.0, min(SHRINK, mark.diameter_mm / SMALLEST_MM))
        for factor in np.exp(rng.uniform(-math.log(GROW), math.log(shrink), count)):
            cube = cut_cube(image, mark.centre, side, cube_mm * float(factor))
            found.append((cube.astype(np.float16), mark.diameter_mm / 2 / cube_mm / float(factor)))
    return found


def _planted(parts: _Parts, second: Plan, rng: np.random.Generator) -> Iterator[Sample]:
    """About as many planted nodules as are wanted, each from a nodule and a place drawn apart."""
    if not parts.nodules or not parts.grounds:
        return
    order = rng.permutation(len(parts.nodules))
    for number in range(parts.wanted):
        nodule, radius = parts.nodules[order[number % len(order)]]
        for _ in range(TRIES):
            ground = turned(parts.grounds[int(rng.integers(len(parts.grounds)))].astype(np.float32), rng)
            cube = planted(ground, turned(nodule.astype(np.float32), rng), radius)
            if visible(cube, ground, radius) >= SEEN:
                yield _sample(f"planted {number}", _prepared(cube, second), 1)
                break


def _prepared(cube: Cube, plan: Plan) -> Tensor:
    return normalise(torch.from_numpy(cube)[None], plan.data)


def _sample(name: str, cube: Tensor, label: int) -> Sample:
    return labelled_sample(name, cube, torch.tensor([float(label)]), torch.ones(1))


def blank_cubes(plan: Plan) -> list[Sample]:
    """Cubes of nothing, for timing a step before there are candidates."""
    side = cube_side(plan)
    return [_sample(str(at), torch.zeros(1, side, side, side), at % 2) for at in range(plan.training.batch)]
