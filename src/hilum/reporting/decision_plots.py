"""Plots of decisions: ROC, precision-recall, reliability, confusion matrix, as SVG bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.reporting import naming, style
from hilum.scoring.calibration import reliability_curve

Decisions = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Class to (truth 0 or 1, probability), one value a case; NaN truth is unknown and left out."""
FEW_CLASSES, WIDEST = 6, 6.5
ROW_LETTERS, COLUMN_LETTERS, TURNED_LETTERS, TURN = 20, 16, 26, 40
INSIDE, INSIDE_LETTERS, LEGEND_LETTERS = 8, 32, 36


def roc(decisions: Decisions, *, operating: tuple[float, float] | None = None) -> bytes:
    """ROC curve of each class with its area; `operating` (sensitivity, specificity) is marked by a ring."""
    from sklearn.metrics import auc, roc_curve

    with style.drawing(height=4.2) as (figure, axes, result):
        axes.plot([0, 1], [0, 1], color="#b5c1c7", lw=1.1, ls=(0, (4, 3)))
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            wrong, right, _ = roc_curve(truth, probability)
            label = f"{name}: AUC {auc(wrong, right):.3f}"
            axes.plot(wrong, right, color=style.colour(place), ls=style.dashes(place), label=label)
        if operating is not None:
            _ring(axes, 1 - operating[1], operating[0])
        _finish(figure, axes, "1 − specificity", "Sensitivity", "lower right")
    return result.getvalue()


def precision_recall(decisions: Decisions, *, operating: tuple[float, float] | None = None) -> bytes:
    """Precision over recall of each class with its average precision; `operating` is (recall, precision)."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with style.drawing(height=4.2) as (figure, axes, result):
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            precision, recall, _ = precision_recall_curve(truth, probability)
            mean = average_precision_score(truth, probability)
            colour = style.colour(place)
            label = f"{name}: AP {mean:.3f}"
            axes.step(recall, precision, where="post", color=colour, ls=style.dashes(place), label=label)
            axes.axhline(float(truth.mean()), color=colour, lw=1, ls=(0, (1, 2)))
        if operating is not None:
            _ring(axes, *operating)
        _finish(figure, axes, "Recall (sensitivity)", "Precision", "lower left")
    return result.getvalue()


def reliability(decisions: Decisions) -> bytes:
    """Share of positives over predicted probability, in the bins of the calibration error.

    Larger points hold more cases.
    """
    with style.drawing(height=4.2) as (figure, axes, result):
        axes.plot([0, 1], [0, 1], color="#b5c1c7", lw=1.1, ls=(0, (4, 3)))
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            predicted, observed, size = reliability_curve(probability, truth)
            area = 25 + 220 * size / size.sum()
            colour, shape = style.colour(place), style.marker(place)
            axes.plot(predicted, observed, color=colour, ls=style.dashes(place), lw=1.4, zorder=2)
            axes.scatter(
                predicted, observed, area, colour, marker=shape, alpha=0.85, lw=0, label=name, zorder=3
            )
        _finish(figure, axes, "Predicted probability", "Observed share", "upper left", single=False)
    return result.getvalue()


def confusion(matrix: ArrayLike, classes: Sequence[str]) -> bytes:
    """Confusion matrix, rows the truth: counts, shares of the true class below, shade by share."""
    counts = np.asarray(matrix, float).reshape(len(classes), len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    frame = _frame(classes)
    with style.drawing(width=frame.width, height=frame.height) as (_, axes, result):
        edges = np.arange(len(classes) + 1) - 0.5
        axes.pcolormesh(edges, edges, shares, cmap=_blues(), vmin=0, vmax=1, edgecolor="white", lw=1.5)
        axes.set_aspect("auto" if len(classes) < 4 else "equal")
        axes.invert_yaxis()
        _cells(axes, counts, shares)
        axes.set_xticks(
            range(len(classes)),
            frame.columns,
            rotation=frame.turn,
            ha="right" if frame.turn else "center",
            rotation_mode="anchor" if frame.turn else None,
            color=style.INK,
        )
        axes.set_yticks(range(len(classes)), frame.rows, color=style.INK)
        axes.set_xlabel("Predicted")
        axes.set_ylabel("True")
        axes.grid(False)
        axes.spines[:].set_visible(False)
    return result.getvalue()


@dataclass(frozen=True)
class _Frame:
    """Ticks of a confusion matrix, how far those of its columns are turned, and its size in inches."""

    rows: list[str]
    columns: list[str]
    turn: int
    width: float
    height: float


def _frame(classes: Sequence[str]) -> _Frame:
    """Columns named on lines as wide as they are where that makes no wide plot; else on one line, turned."""
    cell = 0.75 if len(classes) <= FEW_CLASSES else 0.5
    rows = naming.told_apart(classes, lambda name: naming.wrapped(name, ROW_LETTERS, 3 if cell > 0.5 else 2))
    beside = 0.8 + style.LETTER * naming.longest_line(rows)
    columns = naming.told_apart(classes, lambda name: naming.wrapped(name, COLUMN_LETTERS))
    width = beside + len(classes) * max(cell, 0.15 + style.LETTER * naming.longest_line(columns))
    height = max(4.0, 1.6 + cell * len(classes))
    if width <= WIDEST:
        return _Frame(rows, columns, 0, max(style.WIDTH, width), height)
    columns = naming.told_apart(classes, lambda name: naming.cut(name, TURNED_LETTERS))
    below = style.LETTER * naming.longest_line(columns) * math.sin(math.radians(TURN))
    width = beside + cell * len(classes)
    return _Frame(rows, columns, TURN, max(style.WIDTH, width), 0.7 + below + cell * len(classes))


def _cells(axes: Any, counts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    """The count of each cell, and in small matrices its share below."""
    few = len(counts) <= FEW_CLASSES
    for (row, column), value in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.55 else style.INK
        text = f"{value:,.0f}" + (f"\n{100 * shares[row, column]:.1f} %" if few else "")
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10.5 if few else 8)


def _usable(decisions: Decisions) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Classes that have positives and negatives, named to fit a legend, unknown truth left out."""
    shown = naming.told_apart(list(decisions), lambda name: naming.cut(name, LEGEND_LETTERS))
    usable = []
    for name, (truth, probability) in zip(shown, decisions.values(), strict=True):
        true, found = np.asarray(truth, float), np.asarray(probability, float)
        known = np.isfinite(true + found)
        if len(np.unique(true[known])) == 2:
            usable.append((name, true[known], found[known]))
    return usable


def _ring(axes: Any, x: float, y: float) -> None:
    axes.plot([x], [y], "o", ms=11, mfc="none", mec=style.INK, mew=2, label="Operating point", zorder=4)


def _finish(figure: Any, axes: Any, x: str, y: str, place: str, single: bool = True) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    names = axes.get_legend_handles_labels()[1]
    if not names:
        style.nothing(axes, "Needs cases of both kinds")
    elif len(names) > INSIDE or max(map(len, names)) > INSIDE_LETTERS:
        rows = style.legend_below(figure, axes, LEGEND_LETTERS + len(" (99): AUC 0.999"), handle=2.6)
        figure.set_figheight(figure.get_figheight() + style.LINE * rows)
    elif single or len(names) > 1:
        axes.legend(loc=place, borderaxespad=0.4, labelspacing=0.35)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hilum", ["#f4f8f8", "#6fb0b3", "#0d5c63"])
