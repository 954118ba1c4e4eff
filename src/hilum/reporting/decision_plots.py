"""Plots of decisions: ROC, precision-recall, reliability, confusion matrix, as SVG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.reporting import style
from hilum.scoring.calibration import reliability_curve

Decisions = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Class to (truth 0 or 1, probability), one value a case; NaN truth is unknown and left out."""


def roc(decisions: Decisions, *, operating: tuple[float, float] | None = None, kind: str = "svg") -> bytes:
    """ROC curve of each class with its area; `operating` (sensitivity, specificity) is marked by a ring."""
    from sklearn.metrics import auc, roc_curve

    with style.drawing(height=4.2, kind=kind) as (_, axes, result):
        axes.plot([0, 1], [0, 1], color="#b5c1c7", lw=1.1, ls=(0, (4, 3)))
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            wrong, right, _ = roc_curve(truth, probability)
            axes.plot(wrong, right, color=style.colour(place), label=f"{name}: AUC {auc(wrong, right):.3f}")
        if operating is not None:
            _ring(axes, 1 - operating[1], operating[0])
        _finish(axes, "1 − specificity", "Sensitivity", "lower right")
    return result.getvalue()


def precision_recall(
    decisions: Decisions, *, operating: tuple[float, float] | None = None, kind: str = "svg"
) -> bytes:
    """Precision over recall of each class with its average precision; `operating` is (recall, precision)."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with style.drawing(height=4.2, kind=kind) as (_, axes, result):
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            precision, recall, _ = precision_recall_curve(truth, probability)
            mean = average_precision_score(truth, probability)
            colour = style.colour(place)
            axes.step(recall, precision, where="post", color=colour, label=f"{name}: AP {mean:.3f}")
            axes.axhline(float(truth.mean()), color=colour, lw=1, ls=(0, (1, 2)))
        if operating is not None:
            _ring(axes, *operating)
        _finish(axes, "Recall (sensitivity)", "Precision", "lower left")
    return result.getvalue()


def reliability(decisions: Decisions, *, kind: str = "svg") -> bytes:
    """Share of positives over predicted probability, in the bins of the calibration error.

    Larger points hold more cases.
    """
    with style.drawing(height=4.2, kind=kind) as (_, axes, result):
        axes.plot([0, 1], [0, 1], color="#b5c1c7", lw=1.1, ls=(0, (4, 3)))
        for place, (name, truth, probability) in enumerate(_usable(decisions)):
            predicted, observed, size = reliability_curve(probability, truth)
            area = 25 + 220 * size / size.sum()
            colour = style.colour(place)
            axes.plot(predicted, observed, color=colour, lw=1.4, zorder=2)
            axes.scatter(predicted, observed, s=area, color=colour, alpha=0.85, lw=0, label=name, zorder=3)
        _finish(axes, "Predicted probability", "Observed share", "upper left", single=False)
    return result.getvalue()


def confusion(matrix: ArrayLike, classes: Sequence[str], *, kind: str = "svg") -> bytes:
    """Confusion matrix, rows the truth: counts, shares of the true class below, shade by share."""
    counts = np.asarray(matrix, float).reshape(len(classes), len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 1.6 + 0.75 * len(classes))
    with style.drawing(width=max(4.9, side + 0.9), height=side, kind=kind) as (_, axes, result):
        edges = np.arange(len(classes) + 1) - 0.5
        axes.pcolormesh(edges, edges, shares, cmap=_blues(), vmin=0, vmax=1, edgecolor="white", lw=1.5)
        axes.set_aspect("auto" if len(classes) < 4 else "equal")
        axes.invert_yaxis()
        for (row, column), value in np.ndenumerate(counts):
            ink = "white" if shares[row, column] > 0.55 else style.INK
            text = f"{value:,.0f}"
            if len(classes) <= 6:
                text += f"\n{100 * shares[row, column]:.1f} %"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color=ink,
                fontsize=10.5 if len(classes) < 7 else 8,
            )
        turn = 0 if sum(map(len, classes)) < 32 else 40
        axes.set_xticks(
            range(len(classes)), classes, rotation=turn, ha="right" if turn else "center", color=style.INK
        )
        axes.set_yticks(range(len(classes)), classes, color=style.INK)
        axes.set_xlabel("Predicted")
        axes.set_ylabel("True")
        axes.grid(False)
        axes.spines[:].set_visible(False)
    return result.getvalue()


def _usable(decisions: Decisions) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Classes that have positives and negatives, unknown truth left out."""
    usable = []
    for name, (truth, probability) in decisions.items():
        true, found = np.asarray(truth, float), np.asarray(probability, float)
        known = np.isfinite(true + found)
        if len(np.unique(true[known])) == 2:
            usable.append((name, true[known], found[known]))
    return usable


def _ring(axes: Any, x: float, y: float) -> None:
    axes.plot([x], [y], "o", ms=11, mfc="none", mec=style.INK, mew=2, label="Operating point", zorder=4)


def _finish(axes: Any, x: str, y: str, place: str, single: bool = True) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    names = axes.get_legend_handles_labels()[1]
    if not names:
        style.nothing(axes, "Needs cases of both kinds")
    elif single or len(names) > 1:
        axes.legend(loc=place, borderaxespad=0.4, labelspacing=0.35)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hilum", ["#f4f8f8", "#6fb0b3", "#0d5c63"])
