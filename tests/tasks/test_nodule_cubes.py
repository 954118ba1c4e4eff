from pathlib import Path

import numpy as np
import pytest
import torch

import hilum
from hilum.ct.coordinates import world_to_voxel
from hilum.phantoms.make import make_phantom
from hilum.study.marked import nodule_marks
from hilum.study.masks import read_case_image
from hilum.study.open import understand
from hilum.study.study import Case, Mark, Source
from hilum.tasks import nodule_cubes
from hilum.tasks.detect import DETECT
from hilum.tasks.nodule_cubes import _clear, cube_side, training_cubes
from hilum.tasks.scans import read_scan
from hilum.tasks.second_stage import second_plan, trainer_of
from hilum.training.loop import train_fold
from hilum.training.run import open_run

QUICK = (
    "training.threads=1",
    "model.settings={width: 4, depth: 3, stem: 2}",
    "training.batch=8",
    "scoring.bootstrap=20",
    "detection.second=never",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cubes")
    study = make_phantom("ct", folder / "study", cases=4, size=(60, 110, 110), seed=3)
    return hilum.train(study, folder / "run", steps=10, folds=2, settings=QUICK, device="cpu")


@pytest.fixture(scope="module")
def cubes(run):
    plan = second_plan(run.plan)
    samples = {
        case.name: DETECT.samples(case, read_case_image(case), run.plan) for case in understood(run).cases
    }
    return training_cubes(open_run(run.folder), understood(run), samples, 0, plan)


def understood(run):
    return understand(run.folder.parent / "study")


def densest(cube):
    """HU, as the plan's window, mean and spread were taken off."""
    side = cube.shape[0]
    middle = slice(side // 2 - 2, side // 2 + 2)
    return float((cube[0] if cube.ndim == 4 else cube)[middle, middle, middle].mean())


def test_marks_are_supplemented_up_to_what_is_enough(run, cubes):
    fold = run.splits.folds[0]
    marks = sum(len(nodule_marks(case)) for case in understood(run).cases if case.name in fold.train)
    names = [cube.name for cube in cubes]
    planted = [name for name in names if name.startswith("planted")]
    wanted = nodule_cubes.ENOUGH - nodule_cubes.AROUND_A_MARK * marks
    assert 0.9 * wanted <= len(planted) <= wanted
    assert len(set(names)) == len(names)
    assert not any(name.split()[0] in fold.test for name in names)
    assert all(
        cube.stack.shape == (1, *[cube_side(second_plan(run.plan))] * 3) and torch.isfinite(cube.stack).all()
        for cube in cubes
    )


def test_planted_nodules_are_dense_in_the_middle_and_lung_is_not(cubes):
    def middles(wanted, planted):
        return [
            densest(cube.stack[0])
            for cube in cubes
            if float(cube.label) == wanted and cube.name.startswith("planted") == planted
        ]

    real, planted, others = middles(1, False), middles(1, True), middles(0, False)
    assert np.median(real) > np.median(others) + 0.5
    assert np.median(planted) > np.median(others) + 0.5


def test_negatives_keep_clear_of_nodules(run):
    case = next(case for case in understood(run).cases if nodule_marks(case))
    scan = read_scan(read_case_image(case), run.plan.data)
    places = nodule_cubes._inside(scan, 400, case, np.random.default_rng(0))
    assert len(places) > 300
    for mark in nodule_marks(case):
        away = np.linalg.norm(np.asarray(places) - np.asarray(mark.centre), axis=1)
        assert away.min() > mark.diameter_mm / 2 + nodule_cubes.CLEAR_MM
    voxels = np.round([world_to_voxel(scan.grid, place) for place in places]).astype(int)
    assert scan.inside[tuple(voxels.T)].all()


def test_a_nodule_is_shrunk_to_three_millimetres_at_most(run):
    case = next(case for case in understood(run).cases if nodule_marks(case))
    marks = nodule_marks(case)
    found = nodule_cubes._cut_out(read_case_image(case), marks, 24, 1.0, 40, np.random.default_rng(1))
    assert len(found) == 40 * len(marks)
    for number, mark in enumerate(marks):
        radii = [radius for _, radius in found[40 * number : 40 * number + 40]]
        assert (
            2 * min(radii)
            >= min(mark.diameter_mm, max(nodule_cubes.SMALLEST_MM, mark.diameter_mm / 2)) - 1e-6
        )
        assert 2 * max(radii) <= mark.diameter_mm * nodule_cubes.GROW + 1e-6


@pytest.mark.slow
def test_the_second_classifier_learns(run, cubes, tmp_path):
    plan = second_plan(run.plan)
    plan.model.settings = {**plan.model.settings, "width": 8}
    _, history = train_fold(trainer_of(plan, cubes, 0), 60, tmp_path / "state.safetensors")
    losses = [row["loss"] for row in history.rows]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


def test_findings_of_unknown_size_are_kept_clear_of_by_the_usual_one():
    """5 mm of radius and 4 beside it."""
    excluded = Case("a", Source(Path("a.mhd")), marks=(Mark((0.0, 0.0, 0.0), -1.0, "excluded"),))
    assert [_clear(np.array([x, 0.0, 0.0]), excluded) for x in (0.0, 5.0, 8.9, 9.1)] == [0, 0, 0, 1]
