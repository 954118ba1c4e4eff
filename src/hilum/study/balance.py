"""Groups spread over folds so that each gets its share of cases, of target area and of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.errors import StudyError
from hilum.study.study import Case


def units_of(cases: Sequence[Case], together: Sequence[Sequence[str]]) -> list[list[Case]]:
    """Cases that stay together: groups, joined where `together` links them."""
    group_of = {case.name: case.group for case in cases}
    leader = {case.group: case.group for case in cases}

    def find(group: str) -> str:
        while leader[group] != group:
            group = leader[group]
        return group

    for names in together:
        groups = [find(group_of[name]) for name in names if name in group_of]
        for group in groups[1:]:
            leader[find(group)] = find(groups[0])
    units: dict[str, list[Case]] = {}
    for case in cases:
        units.setdefault(find(case.group), []).append(case)
    return list(units.values())


def spread(
    units: Sequence[Sequence[Case]], folds: int, balance: Mapping[str, Sequence[float]] | None, seed: int
) -> dict[str, int]:
    """The fold of each case by its name; no unit is parted and no fold is empty."""
    loads = np.stack([_load(unit, balance) for unit in units])
    place = _spread(loads, folds, seed)
    return {case.name: int(fold) for unit, fold in zip(units, place, strict=True) for case in unit}


def _load(unit: Sequence[Case], balance: Mapping[str, Sequence[float]] | None) -> NDArray[np.float64]:
    """What a unit adds to a fold: its number of cases and the sum of its balance values."""
    rows = [_weights(case, balance) for case in unit]
    return np.concatenate([[len(unit)], np.nansum(np.asarray(rows, float).reshape(len(rows), -1), axis=0)])


def _weights(case: Case, balance: Mapping[str, Sequence[float]] | None) -> Sequence[float]:
    if balance is None:
        return tuple(case.labels.values())
    if case.name not in balance:
        raise StudyError(f"{case.name}: has no balance value; give one for every case")
    return balance[case.name]


def _spread(loads: NDArray[np.float64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each unit: the largest first, each to where the sum of squared loads grows least.

    Units of equal size go in random order; the last ones fill folds that are still empty.
    """
    total = loads.sum(axis=0)
    shares = loads / np.where(total > 0, total, 1.0)
    noise = np.random.default_rng(seed).random(len(shares))
    order = np.lexsort((noise, -shares.sum(axis=1)))
    sums = np.zeros((folds, shares.shape[1]))
    filled = np.zeros(folds, np.int64)
    place = np.zeros(len(shares), np.int64)
    for rank, unit in enumerate(order):
        growth = ((sums + shares[unit]) ** 2 - sums**2).sum(axis=1)
        if len(order) - rank <= (filled == 0).sum():
            growth = np.where(filled == 0, growth, np.inf)
        fold = int(np.argmin(growth))
        place[unit], sums[fold], filled[fold] = fold, sums[fold] + shares[unit], filled[fold] + 1
    return place
