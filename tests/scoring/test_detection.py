import json
import math

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.scoring.detection import RATES, Candidate, Nodule, froc, summarise_detection

# Four scans, four nodules, worked by hand. Seen from the most probable candidate down:
#   0.99 lies in an excluded finding of unknown size (5 mm around it)      ignored
#   0.9  lies 3 mm from a nodule of 10 mm                                  true positive    1/4 at 0 FP a scan
#   0.8  lies exactly 3 mm from a nodule of 6 mm, which is not below 3     false positive   1/4 at 1/4
#   0.7  lies 9 mm from a nodule of 20 mm                                  true positive    2/4 at 1/4
#   0.6  lies in the nodule that 0.9 found                                 ignored
#   0.5  lies 6 mm from the excluded finding                               false positive   2/4 at 2/4
#   0.4  lies 2 mm from the nodule of 6 mm                                 true positive    3/4 at 2/4
#   0.3  lies in a scan without nodules                                    false positive   3/4 at 3/4
#   0.2  lies far from the fourth nodule, which is missed                  false positive   3/4 at 4/4
# At 1/8, between 0 and 1/4 FP a scan, sensitivity is 1/4; at 1/4 it is 2/4; at 1/2 and beyond 3/4.
NODULES = [
    Nodule("s1", (0, 0, 0), 10),
    Nodule("s1", (30, 0, 0), 6),
    Nodule("s2", (0, 0, 0), 20),
    Nodule("s3", (0, 0, 0), 8),
]
EXCLUDED = [Nodule("s2", (50, 0, 0), -1)]
CANDIDATES = [
    Candidate("s1", (3, 0, 0), 0.9),
    Candidate("s1", (0, 4, 0), 0.6),
    Candidate("s1", (30, 3, 0), 0.8),
    Candidate("s1", (32, 0, 0), 0.4),
    Candidate("s2", (0, 0, 9), 0.7),
    Candidate("s2", (54, 0, 0), 0.99),
    Candidate("s2", (56, 0, 0), 0.5),
    Candidate("s4", (0, 0, 0), 0.3),
    Candidate("s3", (99, 0, 0), 0.2),
]
SCANS = ["s1", "s2", "s3", "s4"]


@pytest.fixture
def worked():
    return froc(CANDIDATES, NODULES, scans=SCANS, exclusions=EXCLUDED)


def test_hand_worked_curve(worked):
    assert worked.rates.tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 1]
    assert worked.sensitivity.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75]
    assert worked.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2]
    assert [worked.sensitivity_at(rate) for rate in RATES] == [0.25, 0.5, 0.75, 0.75, 0.75, 0.75, 0.75]
    assert worked.cpm == pytest.approx(4.5 / 7)
    assert (worked.doubles, worked.irrelevant) == (1, 1)
    assert worked.missed == (NODULES[3],)
    assert [hit.distance_mm for hit in worked.hits] == pytest.approx([3, 2, 9, math.nan], nan_ok=True)


def test_hand_worked_case_agrees_with_monai(worked):
    from monai.metrics import compute_froc_curve_data, compute_froc_score

    false, true = np.array([0.8, 0.5, 0.3, 0.2]), np.array([0.9, 0.7, 0.4, 0.0])
    rates, sensitivity = compute_froc_curve_data(false, true, num_targets=4, num_images=4)
    assert compute_froc_score(rates, sensitivity, RATES) == pytest.approx(worked.cpm)
    assert np.array_equal(rates[::-1], worked.rates)
    assert np.array_equal(sensitivity[::-1], worked.sensitivity)


def random_case(seed, scans=30):
    generator = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(scans)]
    nodules = [
        Nodule(name, tuple(generator.uniform(0, 100, 3)), generator.uniform(4, 20))
        for name in names
        for _ in range(generator.integers(0, 3))
    ]
    near = [
        Candidate(n.scan, tuple(np.add(n.centre, generator.normal(0, 3, 3))), round(generator.beta(5, 3), 2))
        for n in nodules
    ]
    far = [
        Candidate(name, tuple(generator.uniform(200, 300, 3)), round(generator.beta(2, 5), 2))
        for name in names
        for _ in range(8)
    ]
    return names, nodules, near + far


@pytest.mark.parametrize("seed", range(4))
def test_random_cases_agree_with_monai(seed):
    from monai.metrics import compute_froc_curve_data, compute_froc_score

    names, nodules, candidates = random_case(seed)
    found = froc(candidates, nodules, scans=names)
    assert found.missed  # MONAI leaves the lowest probability out, which is the 0 of a missed nodule
    true = np.array([hit.candidate.probability if hit.candidate else 0.0 for hit in found.hits])
    false = np.array([candidate.probability for candidate in found.false_positives])
    curve = compute_froc_curve_data(false, true, len(nodules), len(names))
    assert compute_froc_score(*curve, RATES) == pytest.approx(found.cpm)


@pytest.mark.parametrize("seed", range(4))
def test_random_cases_agree_with_the_roc_way_of_the_challenge(seed):
    """The challenge scales an ROC curve over judged candidates to sensitivity and false positives a scan."""
    from sklearn.metrics import roc_curve

    names, nodules, candidates = random_case(seed)
    found = froc(candidates, nodules, scans=names)
    hits = [hit.candidate.probability for hit in found.hits if hit.candidate]
    false = [candidate.probability for candidate in found.false_positives]
    fpr, tpr, _ = roc_curve([1] * len(hits) + [0] * len(false), hits + false)
    at = np.interp(RATES, fpr * len(false) / len(names), tpr * len(hits) / len(nodules))
    assert [found.sensitivity_at(rate) for rate in RATES] == pytest.approx(at)


def test_summary(worked):
    summary = summarise_detection(worked, samples=300)
    assert summary["cpm"]["value"] == pytest.approx(4.5 / 7)
    low, high = summary["cpm"]["interval"]
    assert low < 4.5 / 7 < high
    assert summary["sensitivity_at"]["0.125"] == 0.25
    assert list(summary["sensitivity_at"]) == ["0.125", "0.25", "0.5", "1", "2", "4", "8"]
    assert (summary["scans"], summary["groups"], summary["nodules"]) == (4, 4, 4)
    assert (summary["doubles"], summary["ignored"]) == (1, 1)
    assert summary["distance_mm"] == {"median": 3, "p90": pytest.approx(7.8), "cases": 3}
    drawn = summary["froc"]
    assert drawn["sensitivity"] == list(summary["sensitivity_at"].values())
    assert drawn["cpm"] == {key: summary["cpm"][key] for key in ("value", "interval")}
    assert all(low <= high for low, high in drawn["sensitivity_interval"])
    assert (drawn["curve"]["false_positives"][0], drawn["curve"]["sensitivity"][-1]) == (0, 0.75)
    json.dumps(summary)


def test_bootstrap_equals_scoring_the_drawn_scans():
    """Scans drawn twice are two scans: score renamed copies and compare with the weighted way."""
    from hilum.scoring.bootstrap import drawn, percentile_interval

    names, nodules, candidates = random_case(0, scans=8)
    names = sorted(names)
    found = summarise_detection(froc(candidates, nodules, scans=names), samples=40, seed=5)
    plain = []
    for draws in next(drawn(8, 40, 5)).astype(int):
        copies = [
            (name, f"{name}/{n}") for name, times in zip(names, draws, strict=True) for n in range(times)
        ]
        again = froc(
            [
                Candidate(new, c.centre, c.probability)
                for old, new in copies
                for c in candidates
                if c.scan == old
            ],
            [Nodule(new, n.centre, n.diameter_mm) for old, new in copies for n in nodules if n.scan == old],
            scans=[new for _, new in copies],
        )
        plain.append(again.cpm)
    assert found["cpm"]["interval"] == pytest.approx(list(percentile_interval(plain)))


def test_only_the_most_probable_of_a_scan_are_judged():
    candidates = [Candidate("s", (100, 0, i), 1 - i / 1000) for i in range(150)]
    assert len(froc(candidates, [Nodule("s", (0, 0, 0), 5)]).false_positives) == 100
    assert len(froc(candidates, [], most_per_scan=None).false_positives) == 150


def test_a_candidate_may_hit_two_nodules():
    nodules = [Nodule("s", (0, 0, 0), 10), Nodule("s", (4, 0, 0), 10)]
    found = froc([Candidate("s", (2, 0, 0), 0.5)], nodules)
    assert found.cpm == 1
    assert not found.false_positives


def test_a_hit_wins_over_an_exclusion():
    found = froc(
        [Candidate("s", (0, 0, 0), 0.5)], [Nodule("s", (1, 0, 0), 6)], exclusions=[Nodule("s", (0, 0, 0), 6)]
    )
    assert (found.cpm, found.irrelevant) == (1, 0)


def test_nothing_found_and_nothing_to_find():
    assert froc([], NODULES, scans=SCANS).cpm == 0
    assert math.isnan(froc(CANDIDATES, [], scans=SCANS).cpm)
    assert summarise_detection(froc([], NODULES, scans=SCANS), samples=20)["cpm"]["interval"] == [0, 0]


def test_other_scans_are_left_out():
    assert froc(CANDIDATES, NODULES, scans=["s1"]).cpm == pytest.approx(
        froc([c for c in CANDIDATES if c.scan == "s1"], NODULES[:2], scans=["s1"]).cpm
    )


def test_errors():
    with pytest.raises(HilumError, match="scans"):
        froc([], [], scans=[])
    with pytest.raises(HilumError, match="scans"):
        froc([], [], scans=["a", "a"])
    with pytest.raises(HilumError, match="finite"):
        froc([Candidate("a", (0, 0, math.nan), 0.5)], [])
    with pytest.raises(HilumError, match="finite"):
        froc([Candidate("a", (0, 0, 0), math.nan)], [])


def test_intervals_are_drawn_over_groups_of_scans():
    """Two of four patients have all their nodules found, two none: the plain share varies from 0 to 1."""
    scans = [f"p{patient}-{scan}" for patient in range(4) for scan in range(10)]
    nodules = [Nodule(name, (0, 0, 0), 8) for name in scans]
    found = froc([Candidate(n, (0, 0, 0), 0.9) for n in scans if n[1] in "01"], nodules, scans=scans)
    patients = {name: name.split("-")[0] for name in scans}
    low, high = summarise_detection(found, samples=400, groups=patients)["cpm"]["interval"]
    assert (low, high) == (0, 1)
    low, high = summarise_detection(found, samples=400)["cpm"]["interval"]
    assert low > 0.25
    assert high < 0.75
