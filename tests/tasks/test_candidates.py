import numpy as np
import pytest

from hilum.ct.candidates import Candidate
from hilum.ct.coordinates import voxel_to_world
from hilum.ct.lungs import Lungs
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.planning.plan import DetectionPlan
from hilum.scoring.detection import Candidate as Scored
from hilum.scoring.detection import Nodule, froc
from hilum.study.study import Mark
from hilum.tasks.candidates import candidates_in, combined, status_of, with_blobs
from hilum.tasks.scans import Scan


def candidate(x, probability, diameter=6.0):
    return Candidate((float(x), 0.0, 0.0), diameter, probability, probability, probability, 100.0)


@pytest.fixture
def scan():
    """An empty scan of 1 mm voxels whose left half is outside the lungs."""
    grid = Image(np.zeros((1, 20, 30, 40), np.float32), Spacing((1.0, 1.0, 1.0), "mm"))
    inside = np.ones(grid.shape, bool)
    inside[:, :, :20] = False
    return Scan(
        Lungs(inside.astype(np.uint8), 1.0, 0.5, 0.5),
        (slice(0, 20), slice(0, 30), slice(0, 40)),
        grid,
        inside,
    )


def test_candidates_lie_in_the_lungs_and_the_surest_come_first(scan):
    probability = np.zeros(scan.grid.shape)
    probability[8:12, 8:12, 5:9] = 0.9
    probability[8:12, 8:12, 25:29] = 0.5
    probability[8:12, 20:24, 32:36] = 0.8
    found = candidates_in(scan, probability, DetectionPlan(smallest_mm=1.0))
    assert [one.probability for one in found] == pytest.approx([0.8, 0.5])
    assert found[0].centre == pytest.approx(tuple(voxel_to_world(scan.grid, (9.5, 21.5, 33.5))))
    assert len(candidates_in(scan, probability, DetectionPlan(smallest_mm=1.0, most=1))) == 1


def test_of_two_regions_of_one_peak_the_fuller_one_comes_first(scan):
    probability = np.zeros(scan.grid.shape)
    probability[8:12, 8:12, 25:29] = 0.3
    probability[9, 9, 26] = 1.0
    probability[8:12, 20:24, 32:36] = 1.0
    found = candidates_in(scan, probability, DetectionPlan(smallest_mm=1.0))
    assert found[0].probability == pytest.approx(1.0)
    assert found[1].probability < 0.7


def test_what_each_candidate_is():
    nodules, others = [Mark((0.0, 0.0, 0.0), 10.0)], [Mark((50.0, 0.0, 0.0), -1.0, "excluded")]
    found = [
        candidate(1, 0.9),
        candidate(2, 0.95),
        candidate(52, 0.5),
        candidate(100, 0.4),
        candidate(5, 0.2),
    ]
    states = status_of(found, nodules, others)
    assert [state.name for state in states] == ["double", "hit", "ignored", "false", "false"]
    assert [state.nodule for state in states] == [0, 0, None, None, None]
    assert states[1].distance_mm == pytest.approx(2.0)


def test_states_and_froc_count_alike():
    rng = np.random.default_rng(0)
    nodules = [Mark(tuple(place), 12.0) for place in rng.uniform(0, 60, (6, 3))]
    others = [Mark(tuple(place), 8.0, "excluded") for place in rng.uniform(0, 60, (4, 3))]
    found = [
        Candidate(tuple(place), 5.0, p, p, p, 60.0)
        for place, p in zip(rng.uniform(0, 60, (60, 3)), rng.random(60), strict=True)
    ]
    states = [state.name for state in status_of(found, nodules, others)]
    curve = froc(
        [Scored("a", one.centre, one.probability) for one in found],
        [Nodule("a", mark.centre, mark.diameter_mm) for mark in nodules],
        exclusions=[Nodule("a", mark.centre, mark.diameter_mm) for mark in others],
    )
    assert states.count("false") == len(curve.false_positives)
    assert states.count("ignored") == curve.irrelevant
    assert states.count("hit") <= sum(hit.candidate is not None for hit in curve.hits)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.9), (1.0, 0.0), (0.999, 0.2)])
def test_the_combined_probability_lies_between_both(first, second):
    low, high = sorted((first, second))
    assert low <= combined(first, second) <= high
    assert combined(first, second) == pytest.approx(combined(second, first))


def test_blobs_raise_what_they_lie_on_and_follow_alone():
    seen = [candidate(0, 0.3), candidate(50, 0.9)]
    blobs = [candidate(1, 0.6), candidate(51, 0.5), candidate(90, 0.4)]
    joined = with_blobs(seen, blobs, merge_mm=4)
    assert [(one.centre[0], one.probability) for one in joined] == [(0, 0.6), (50, 0.9), (90, 0.4)]
