"""FROC and CPM of a nodule detector, by the rules of LUNA16.

Setio et al., Validation, comparison, and combination of algorithms for automatic detection of pulmonary
nodules in computed tomography images: The LUNA16 challenge, Medical Image Analysis 42, 2017.

- A candidate hits a nodule where its distance to the centre is below the radius.
- The most probable candidate that hits a nodule is its true positive; further ones are neither true nor
  false positives. A candidate may hit several nodules and then counts for each.
- A candidate that hits no nodule but an excluded finding is ignored. Excluded findings are no nodules.
- Everything else is a false positive. Of each scan the 100 most probable candidates are judged.
- A nodule or finding without a diameter (-1 in the challenge's table) is taken as 10 mm wide.
- Sensitivity at a rate is interpolated linearly between the points of the curve, and beyond its last
  point stays as it is. CPM is the mean at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives a scan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.scoring.bootstrap import SAMPLES, drawn, group_indices, percentile_interval

Floats = NDArray[np.float64]
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MOST_PER_SCAN = 100
DEFAULT_DIAMETER_MM = 10.0


@dataclass(frozen=True)
class Candidate:
    """A possible nodule: its scan, its centre (x, y, z) in world mm and its probability."""

    scan: str
    centre: tuple[float, float, float]
    probability: float


@dataclass(frozen=True)
class Nodule:
    """A nodule (or an excluded finding): its scan, centre (x, y, z) in world mm and diameter in mm."""

    scan: str
    centre: tuple[float, float, float]
    diameter_mm: float


class Placed(Protocol):
    """What has a centre."""

    @property
    def centre(self) -> tuple[float, float, float]:
        """(x, y, z) in world mm."""


class Ball(Placed, Protocol):
    """What has a centre and a diameter."""

    @property
    def diameter_mm(self) -> float:
        """Not above zero where it is not known."""


def radius_mm(ball: Ball) -> float:
    """Half the diameter; 5 mm where the diameter is not known (not above zero).

    >>> radius_mm(Nodule("scan", (0.0, 0.0, 0.0), 8.0)), radius_mm(Nodule("scan", (0.0, 0.0, 0.0), -1.0))
    (4.0, 5.0)
    """
    return (ball.diameter_mm if ball.diameter_mm > 0 else DEFAULT_DIAMETER_MM) / 2


def distances_mm(found: Sequence[Placed], balls: Sequence[Ball]) -> Floats:
    """Distance of each candidate (rows) to the centre of each ball (columns)."""
    places = np.array([one.centre for one in found], np.float64).reshape(-1, 3)
    centres = np.array([ball.centre for ball in balls], np.float64).reshape(-1, 3)
    return np.asarray(np.linalg.norm(places[:, None] - centres[None], axis=2))


def hits(found: Sequence[Placed], balls: Sequence[Ball]) -> NDArray[np.bool_]:
    """Whether each candidate (rows) lies within the radius of each ball (columns): LUNA16's rule of a hit."""
    return distances_mm(found, balls) < np.array([radius_mm(ball) for ball in balls])


@dataclass(frozen=True)
class Hit:
    """A nodule and the most probable candidate within its radius, None where it was missed.

    `distance_mm` is from that candidate to the nodule's centre, NaN where it was missed.
    """

    nodule: Nodule
    candidate: Candidate | None
    distance_mm: float


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve and what it is made of.

    `rates` (K,) false positives a scan, `sensitivity` (K,) and the `thresholds` (K,) they are reached
    at, from nothing found at an infinite threshold down to all candidates.
    """

    rates: Floats
    sensitivity: Floats
    thresholds: Floats
    scans: tuple[str, ...]
    hits: tuple[Hit, ...]
    false_positives: tuple[Candidate, ...]
    doubles: int
    irrelevant: int

    def sensitivity_at(self, rate: float) -> float:
        """Sensitivity (0 to 1) at `rate` false positives a scan."""
        return float(np.interp(rate, self.rates, self.sensitivity))

    @property
    def cpm(self) -> float:
        """Mean sensitivity at the seven rates of LUNA16, 0 to 1; NaN without nodules."""
        return float(np.mean([self.sensitivity_at(rate) for rate in RATES]))

    @property
    def missed(self) -> tuple[Nodule, ...]:
        """Nodules that no candidate hits."""
        return tuple(hit.nodule for hit in self.hits if hit.candidate is None)


def froc(
    candidates: Iterable[Candidate],
    nodules: Iterable[Nodule],
    *,
    scans: Sequence[str] | None = None,
    exclusions: Iterable[Nodule] = (),
    most_per_scan: int | None = MOST_PER_SCAN,
) -> Froc:
    """Judge candidates as LUNA16 does.

    `scans` are all that were searched, also those without nodule or candidate; what lies in other
    scans is left out. Without it, all scans named by candidates, nodules and exclusions are taken.
    Raises HilumError where there is no scan, a scan is named twice or a figure is not a number.
    """
    found, true, excluded = _by_scan(candidates), _by_scan(nodules), _by_scan(exclusions)
    names = tuple(sorted({*found, *true, *excluded}) if scans is None else scans)
    if not names or len(set(names)) != len(names):
        raise HilumError(f"FROC needs a list of different scans; found {len(names)} names")
    judged: list[Hit] = []
    false: list[Candidate] = []
    doubles = irrelevant = 0
    for name in names:
        best = sorted(found[name], key=lambda candidate: -candidate.probability)[:most_per_scan]
        near = hits(best, true[name])
        judged += [_hit(nodule, best, near[:, n]) for n, nodule in enumerate(true[name])]
        doubles += int(np.maximum(near.sum(axis=0) - 1, 0).sum())
        beside = hits(best, excluded[name]).any(axis=1) & ~near.any(axis=1)
        irrelevant += int(beside.sum())
        false += [best[i] for i in np.flatnonzero(~beside & ~near.any(axis=1))]
    return _curve(names, judged, false, doubles, irrelevant)


def summarise_detection(
    result: Froc, samples: int = SAMPLES, seed: int = 0, groups: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The detection part of summary.json.

    `cpm` is {"value", "interval", "scans", "nodules"}, `sensitivity_at` maps each of the seven rates to its
    sensitivity. `froc` is what is drawn: the same points with their intervals, and the whole curve.
    Intervals are 95 % bootstrap over `groups` (patients, by scan), each scan its own without.
    `distance_mm` is between the predicted and the true centre of the nodules that were found. `doubles` are
    further candidates on a nodule, `ignored` those on excluded findings.
    """
    names = groups or {}
    intervals, cpm_interval = _bootstrap(result, samples, seed, names)
    errors = [hit.distance_mm for hit in result.hits if hit.candidate is not None]
    sensitivity = [result.sensitivity_at(rate) for rate in RATES]
    cpm = {"value": result.cpm, "interval": list(cpm_interval)}
    return {
        "scans": len(result.scans),
        "groups": len({names.get(name, name) for name in result.scans}),
        "nodules": len(result.hits),
        "cpm": {**cpm, "scans": len(result.scans), "nodules": len(result.hits)},
        "sensitivity_at": {f"{rate:g}": found for rate, found in zip(RATES, sensitivity, strict=True)},
        "froc": {
            "false_positives": list(RATES),
            "sensitivity": sensitivity,
            "sensitivity_interval": [list(ends) for ends in intervals],
            "cpm": cpm,
            "curve": {"false_positives": result.rates.tolist(), "sensitivity": result.sensitivity.tolist()},
        },
        "distance_mm": {
            "median": float(np.median(errors)) if errors else float("nan"),
            "p90": float(np.percentile(errors, 90)) if errors else float("nan"),
            "cases": len(errors),
        },
        "doubles": result.doubles,
        "ignored": result.irrelevant,
    }


class _OfScan(Placed, Protocol):
    @property
    def scan(self) -> str: ...


_P = TypeVar("_P", bound=_OfScan)


def _by_scan(items: Iterable[_P]) -> defaultdict[str, list[_P]]:
    grouped: defaultdict[str, list[_P]] = defaultdict(list)
    for item in items:
        if not np.isfinite((*item.centre, getattr(item, "probability", 0.0))).all():
            raise HilumError(f"{item}: centre and probability must be finite numbers")
        grouped[item.scan].append(item)
    return grouped


def _hit(nodule: Nodule, candidates: Sequence[Candidate], near: NDArray[np.bool_]) -> Hit:
    """Candidates come most probable first."""
    if not near.any():
        return Hit(nodule, None, float("nan"))
    candidate = candidates[int(np.argmax(near))]
    return Hit(nodule, candidate, float(distances_mm([candidate], [nodule])[0, 0]))


def _curve(
    names: tuple[str, ...], hits: list[Hit], false: list[Candidate], doubles: int, irrelevant: int
) -> Froc:
    judged = [(hit.candidate.probability, 1) for hit in hits if hit.candidate is not None]
    judged += [(candidate.probability, 0) for candidate in false]
    table = np.array(sorted(judged, reverse=True), np.float64).reshape(-1, 2)
    ends = _last_of_ties(table[:, 0])
    found, alarms = table[:, 1].cumsum()[ends], (1 - table[:, 1]).cumsum()[ends]
    return Froc(
        rates=np.concatenate(([0.0], alarms / len(names))),
        sensitivity=np.concatenate(([0.0], found)) / (len(hits) or np.nan),
        thresholds=np.concatenate(([np.inf], table[ends, 0])),
        scans=names,
        hits=tuple(hits),
        false_positives=tuple(false),
        doubles=doubles,
        irrelevant=irrelevant,
    )


def _last_of_ties(descending: Floats) -> NDArray[np.intp]:
    """Positions of the last of each run of equal probabilities."""
    return np.flatnonzero(np.append(np.diff(descending) != 0, True)[: descending.size])


def _bootstrap(
    result: Froc, samples: int, seed: int, groups: Mapping[str, str]
) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Intervals of the sensitivity at each rate and of the CPM, over groups of scans."""
    indices, count = group_indices([groups.get(name, name) for name in result.scans])
    number = dict(zip(result.scans, indices.tolist(), strict=True))
    scans = np.bincount(indices, minlength=count)
    events = [(hit.candidate.probability, 1, number[hit.nodule.scan]) for hit in result.hits if hit.candidate]
    events += [(candidate.probability, 0, number[candidate.scan]) for candidate in result.false_positives]
    table = np.array(sorted(events, reverse=True), np.float64).reshape(-1, 3)
    owner, true, ends = table[:, 2].astype(np.intp), table[:, 1], _last_of_ties(table[:, 0])
    nodules = np.bincount([number[hit.nodule.scan] for hit in result.hits], minlength=count)
    estimates: list[Floats] = []
    for draws in (row for part in drawn(count, samples, seed) for row in part):
        weight = draws[owner]
        found = np.concatenate(([0.0], (weight * true).cumsum()[ends]))
        alarms = np.concatenate(([0.0], (weight * (1 - true)).cumsum()[ends]))
        estimates.append(np.interp(RATES, alarms / (draws @ scans), found) / ((draws @ nodules) or np.nan))
    sampled = np.array(estimates).reshape(-1, len(RATES))
    return [percentile_interval(column) for column in sampled.T], percentile_interval(sampled.mean(axis=1))
