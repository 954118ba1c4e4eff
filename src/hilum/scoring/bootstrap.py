"""Cluster bootstrap: intervals that know that images of one patient resemble each other.

Groups (patients, animals, slides) are drawn with replacement, all rows of a drawn group together, and
the statistic's percentiles over the samples are the interval (Efron's percentile method). With fewer
than two groups nothing can be drawn, so the interval is (NaN, NaN): one patient says nothing about how
patients vary. With few groups, below ten or so, percentile intervals are known to be too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.errors import HilumError

Interval = tuple[float, float]
NO_INTERVAL: Interval = (float("nan"), float("nan"))
SAMPLES = 1000
LEVEL = 0.95
CHUNK_VALUES = 4_000_000


def group_indices(groups: Sequence[Hashable] | NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Number each group in order of appearance: the index (N,) of each row's group, and their count.

    >>> group_indices(["b", "a", "b"])[0].tolist()
    [0, 1, 0]
    """
    seen: dict[Hashable, int] = {}
    indices = np.array([seen.setdefault(group, len(seen)) for group in groups], np.intp)
    return indices, len(seen)


def drawn(count: int, samples: int = SAMPLES, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """How often each of `count` groups is drawn: parts (some samples, count), each row sums to count.

    Parts keep memory bounded where there are many groups. Nothing is drawn from fewer than two groups.
    """
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_VALUES // max(count, 1))
    for start in range(0, samples if count > 1 else 0, step):
        size = min(step, samples - start)
        yield generator.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)


def percentile_interval(estimates: ArrayLike, level: float = LEVEL) -> Interval:
    """Central interval of bootstrap estimates; samples without a value (NaN) are left out.

    (NaN, NaN) where more than half of the samples have none.
    """
    values = np.asarray(estimates, np.float64)
    values = values[~np.isnan(values)]
    if not 0 < level < 1:
        raise HilumError(f"level {level} of an interval must lie between 0 and 1, like 0.95")
    if values.size * 2 < np.size(estimates) or not values.size:
        return NO_INTERVAL
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def interval_of_totals(
    rows: ArrayLike,
    groups: Sequence[Hashable] | NDArray[Any],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    samples: int = SAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Interval of a statistic of column totals, all samples at once.

    `rows` (N, K) are summed over each sample to (samples, K); `statistic` turns that into (samples,).
    Pooled Dice from rows of tp, fp, fn is `lambda t: 2 * t[:, 0] / (2 * t[:, 0] + t[:, 1] + t[:, 2])`.
    """
    table = np.asarray(rows, np.float64)
    indices, count = _checked(table, groups)
    if count < 2 or samples < 1:
        return NO_INTERVAL
    sums = np.zeros((count, table.shape[1]))
    np.add.at(sums, indices, table)
    totals = [part @ sums for part in drawn(count, samples, seed)]
    return percentile_interval(statistic(np.concatenate(totals)), level)


def interval(
    values: ArrayLike,
    groups: Sequence[Hashable] | NDArray[Any],
    statistic: Callable[[NDArray[Any]], float] | None = None,
    samples: int = SAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Cluster bootstrap interval of a statistic, by default the mean, over groups.

    `values` is (N,) or (N, K), one row a case. Rows of one value that are NaN (undefined scores) are
    left out first. A `statistic` takes the rows of a sample, drawn groups repeated, and may answer NaN.
    Raises HilumError where values and groups differ in number.

    >>> interval([0.9, 0.8, 0.7], ["one", "one", "one"])
    (nan, nan)
    """
    rows = np.asarray(values)
    _checked(rows, groups)
    if rows.ndim == 1 and rows.dtype.kind == "f":
        defined = ~np.isnan(rows)
        rows, groups = rows[defined], [group for group, keep in zip(groups, defined, strict=True) if keep]
    if statistic is None:
        table = np.stack((rows.astype(np.float64), np.ones(len(rows))), axis=1)
        return interval_of_totals(table, groups, lambda t: t[:, 0] / t[:, 1], samples, level, seed)
    indices, count = group_indices(groups)
    if count < 2:
        return NO_INTERVAL
    members = [np.flatnonzero(indices == index) for index in range(count)]
    estimates = [
        statistic(rows[np.concatenate([np.tile(members[index], int(n)) for index, n in enumerate(times)])])
        for part in drawn(count, samples, seed)
        for times in part
    ]
    return percentile_interval(estimates, level)


def _checked(rows: NDArray[Any], groups: Sequence[Hashable] | NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    if len(rows) != len(groups):
        raise HilumError(f"{len(rows)} rows and {len(groups)} groups: each row needs its group")
    return group_indices(groups)
