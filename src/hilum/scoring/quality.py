"""How good a mask probably is, with no truth at hand: its Dice foretold from the probabilities alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST, MANY = 8, 60
HALF = 0.5
KNOTS = 21
GOOD, CHECK, EMPTY, UNKNOWN = "good", "check", "empty", ""


@dataclass(frozen=True)
class Foretold:
    """A Dice foretold of one mask: `dice` 0 to 1, its usual `error`, and whether to look at it (`word`)."""

    dice: float
    error: float
    word: str


@dataclass(frozen=True)
class QualityFit:
    """From the expected Dice to the real one: a rising line through (`expected`, `dice`), 0 to 1.

    `error` is the root mean square of what was foretold out of fold less what was found, `correlation` that
    of both (Pearson; NaN where nothing varies), `typical` the median Dice that was found, over `cases`.
    """

    expected: tuple[float, ...]
    dice: tuple[float, ...]
    error: float
    correlation: float
    rank_correlation: float
    typical: float
    cases: int

    def foretell(self, expected: float) -> Foretold:
        """The Dice to expect of a mask; a mask of nothing has none.

        One that is foretold to be more wrong than right, or to fall short of the typical one by more than
        the usual error, is to be checked.
        """
        if math.isnan(expected):
            return Foretold(math.nan, math.nan, EMPTY)
        return self.judged(float(np.interp(expected, self.expected, self.dice)))

    def judged(self, dice: float) -> Foretold:
        """A foretold Dice with its error and its word.

        None is called good or worse than usual where what is foretold does not rank masks out of fold.
        """
        if dice < HALF:
            return Foretold(dice, self.error, CHECK)
        if not self.rank_correlation > 0:
            return Foretold(dice, self.error, UNKNOWN)
        return Foretold(dice, self.error, CHECK if dice < self.typical - self.error else GOOD)

    def to_json(self) -> dict[str, Any]:
        """All of it, as `read_quality` takes it."""
        return {"expected": list(self.expected), "dice": list(self.dice), **self.worth()}

    def worth(self) -> dict[str, Any]:
        """What the line is worth, without the line."""
        return {
            "error": self.error,
            "correlation": self.correlation,
            "rank_correlation": self.rank_correlation,
            "typical": self.typical,
            "cases": self.cases,
        }


@dataclass
class Belief:
    """What probabilities (0 to `full`) tell of the Dice of their mask, added up block by block."""

    full: float = 1.0
    inside: int = 0
    overlap: float = 0.0
    total: float = 0.0

    def add(self, probability: NDArray[Any], mask: NDArray[np.bool_]) -> None:
        """Add a block and its mask, of one shape."""
        self.inside += int(np.count_nonzero(mask))
        self.overlap += float(probability[mask].sum(dtype=np.float64))
        self.total += float(probability.sum(dtype=np.float64))

    def dice(self) -> float:
        """The expected Dice; NaN for an empty mask."""
        if not self.inside:
            return math.nan
        return 2 * self.overlap / self.full / (self.inside + self.total / self.full)


def expected_dice(probability: NDArray[Any], mask: NDArray[np.bool_], full: float = 1.0) -> float:
    """Dice that a mask has on average if probabilities (0 to `full`, of its shape) are to be believed.

    Twice the expected overlap over the expected sizes, as if pixels were independent; NaN for an empty mask.

    >>> expected_dice(np.array([1.0, 0.5, 0.0]), np.array([True, True, False]))
    0.857142...
    """
    belief = Belief(full)
    belief.add(probability, mask)
    return belief.dice()


def fit_quality(
    expected: Sequence[float], real: Sequence[float], folds: Sequence[int]
) -> tuple[QualityFit, list[float]] | None:
    """Learn what Dice to expect, and foretell each of these cases from the other folds alone.

    `expected` and `real` are of masks; one where the target is not has a `real` Dice of 0. A fold whose
    others have fewer than eight cases is foretold by all. None where there are fewer than eight cases.
    """
    if len(real) < FEWEST:
        return None
    x, y, own = np.asarray(expected, float), np.asarray(real, float), np.asarray(folds)
    told = np.empty(len(y))
    for fold in np.unique(own):
        held = own == fold
        rest = ~held if (~held).sum() >= FEWEST else np.ones(len(y), bool)
        told[held] = np.interp(x[held], *_line(x[rest], y[rest]))
    knots, values = _line(x, y)
    error = float(np.sqrt(np.mean((told - y) ** 2)))
    linear, ranks = _correlations(told, y)
    fit = QualityFit(tuple(knots), tuple(values), error, linear, ranks, float(np.median(y)), len(y))
    return fit, told.tolist()


def read_quality(found: Mapping[str, Any]) -> QualityFit:
    """A fit as `to_json` wrote it. Raises KeyError, TypeError or ValueError where it is none."""
    knots, values = (tuple(float(value) for value in found[key]) for key in ("expected", "dice"))
    if len(knots) != len(values) or not knots or not np.isfinite([*knots, *values]).all():
        raise ValueError("expected and dice must be equally many numbers")
    return QualityFit(
        knots,
        values,
        error=float(found["error"]),
        correlation=_number(found["correlation"]),
        rank_correlation=_number(found["rank_correlation"]),
        typical=float(found["typical"]),
        cases=int(found["cases"]),
    )


def _number(value: Any) -> float:
    """A number; NaN, which JSON does not have, is null there."""
    return math.nan if value is None else float(value)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """A rising line from few knots: straight for few cases, in steps that never fall for many."""
    low, high = float(x.min()), float(x.max())
    if high - low < 1e-9:
        return [low], [float(y.mean())]
    if len(x) < MANY:
        slope, base = np.polyfit(x, y, 1)
        slope, base = (slope, base) if slope > 0 else (0.0, float(y.mean()))
        knots = np.array([low, high])
        return knots.tolist(), np.clip(slope * knots + base, 0, 1).tolist()
    from sklearn.isotonic import IsotonicRegression

    rising = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y)
    knots = np.unique(np.quantile(x, np.linspace(0, 1, KNOTS)))
    return knots.tolist(), rising.predict(knots).tolist()


def _correlations(told: NDArray[np.float64], real: NDArray[np.float64]) -> tuple[float, float]:
    """Pearson's and Spearman's correlation; NaN where one side does not vary."""
    from scipy.stats import pearsonr, spearmanr

    if np.ptp(told) < 1e-12 or np.ptp(real) < 1e-12:
        return math.nan, math.nan
    return float(pearsonr(told, real).statistic), float(spearmanr(told, real).statistic)
