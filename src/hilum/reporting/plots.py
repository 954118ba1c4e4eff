"""Plots of training, of scores case by case and of agreement, as SVG bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.reporting import naming, style
from hilum.reporting.numbers import number

Row = Mapping[str, Any]
COLOURED_GROUPS = 12
FEW_POINTS = 12
TICK_LETTERS = 14


def training_curve(
    folds: Mapping[str, Sequence[Row]],
    key: str,
    *,
    against: str = "step",
    label: str = "",
    logarithmic: bool = False,
) -> bytes:
    """One column of the history of every fold over steps or seconds.

    `folds` maps fold to rows such as {"step": 20, "loss": 0.4}; those without `key` are left out.
    """
    with style.drawing() as (_, axes, result):
        drawn = []
        for place, (fold, rows) in enumerate(folds.items()):
            points = _points(rows, against, key)
            if len(points):
                every = slice(None) if len(points) <= FEW_POINTS else [-1]
                axes.plot(
                    *points.T, color=style.colour(place), label=fold, marker="o", markevery=every, ms=4.5
                )
                drawn.append(fold)
        if not drawn:
            style.nothing(axes)
        elif logarithmic and all(number(row.get(key, 1)) > 0 for rows in folds.values() for row in rows):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.minorticks_off()
        axes.set_xlabel({"step": "Step", "seconds": "Time (s)", "epoch": "Epoch"}.get(against, against))
        axes.set_ylabel(label or key)
        style.legend(axes, drawn)
    return result.getvalue()


def case_scores(
    rows: Sequence[Row],
    score: str = "dice",
    *,
    label: str = "Dice",
    by: str = "target",
    group: str = "group",
    seed: int = 0,
) -> bytes:
    """Every case as a point, one row a target, coloured by group, over a box of the quartiles.

    `rows` hold `score`, `by` and `group`; rows without a score are left out. Up to `COLOURED_GROUPS`
    groups are told apart.
    """
    rows = [row for row in rows if math.isfinite(number(row.get(score)))]
    names = list(dict.fromkeys(str(row.get(by, "")) for row in rows))
    groups = list(dict.fromkeys(str(row.get(group, "")) for row in rows))
    shown = groups if 1 < len(groups) <= COLOURED_GROUPS else []
    height = max(2.2, 1.0 + 0.85 * len(names)) + (0.4 if shown else 0)
    with style.drawing(height=height) as (figure, axes, result):
        if not rows:
            style.nothing(axes)
        for place, name in enumerate(names):
            _box(axes, [number(row[score]) for row in rows if str(row.get(by, "")) == name], place)
        jitter = np.random.default_rng(seed).uniform(-0.2, 0.2, len(rows))
        y = np.array([names.index(str(row.get(by, ""))) for row in rows], float) + jitter
        x = np.array([number(row[score]) for row in rows], float)
        _scatter_groups(figure, axes, x, y, [str(row.get(group, "")) for row in rows] if shown else None)
        if rows:
            shown = naming.told_apart(names, lambda name: naming.wrapped(name, TICK_LETTERS))
            axes.set_yticks(range(len(names)), shown, color=style.INK)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(False, axis="y")
            _score_limits(axes, x.tolist())
        axes.set_xlabel(label)
    return result.getvalue()


def agreement(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    quantity: str = "area",
    unit: str = "px²",
) -> bytes:
    """Predicted against true quantity with the line of identity; points coloured by group."""
    x, y = np.asarray(truth, float), np.asarray(predicted, float)
    with style.drawing(height=3.9) as (figure, axes, result):
        if not np.isfinite(x + y).any():
            style.nothing(axes)
        else:
            top = 1.06 * float(np.nanmax([x, y])) or 1.0
            axes.plot([0, top], [0, top], color=style.SOFT, lw=1.1, ls=(0, (4, 3)), label="_identity")
            _scatter_groups(figure, axes, x, y, groups)
            axes.set_xlim(0, top)
            axes.set_ylim(0, top)
            axes.set_aspect("equal")
            _short_ticks(axes)
        axes.set_xlabel(f"True {quantity} ({unit})")
        axes.set_ylabel(f"Predicted {quantity} ({unit})")
    return result.getvalue()


def bland_altman(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    quantity: str = "area",
    unit: str = "px²",
) -> bytes:
    """Difference over mean with the bias and the 95 % limits of agreement (Bland and Altman 1986)."""
    x, y = np.asarray(truth, float), np.asarray(predicted, float)
    known = np.isfinite(x + y)
    names = [name for name, keep in zip(groups, known, strict=True) if keep] if groups is not None else None
    mean, difference = (x[known] + y[known]) / 2, y[known] - x[known]
    with style.drawing(height=3.9) as (figure, axes, result):
        if len(mean) == 0:
            style.nothing(axes)
        else:
            _scatter_groups(figure, axes, mean, difference, names)
            _limits_of_agreement(axes, difference)
            _short_ticks(axes)
        axes.set_xlabel(f"Mean {quantity} ({unit})")
        axes.set_ylabel(f"Predicted minus true ({unit})")
    return result.getvalue()


def histogram(
    values: Mapping[str, ArrayLike],
    *,
    label: str,
    bins: int = 24,
    limits: tuple[float, float] | None = None,
    line: float | None = None,
    count: str = "Cases",
) -> bytes:
    """Overlaid step histograms with common bins; `line` marks a threshold."""
    found = {name: _finite(array) for name, array in values.items()}
    everything = np.concatenate([*found.values(), np.empty(0)])
    with style.drawing() as (_, axes, result):
        if len(everything) == 0:
            style.nothing(axes)
        else:
            edges = np.histogram_bin_edges(everything, bins, limits)
            for place, (name, array) in enumerate(found.items()):
                colour = style.colour(place)
                axes.hist(array, edges, color=colour, alpha=0.25)
                axes.hist(array, edges, histtype="step", color=colour, lw=1.8, label=name)
            axes.yaxis.get_major_locator().set_params(integer=True)
        if line is not None:
            axes.axvline(line, color=style.INK, lw=1.2, ls=(0, (4, 3)))
        axes.set_xlabel(label)
        axes.set_ylabel(count)
        style.legend(axes, list(found))
    return result.getvalue()


def _points(rows: Sequence[Row], against: str, key: str) -> NDArray[np.float64]:
    pairs = [(number(row.get(against)), number(row.get(key))) for row in rows]
    return np.array([pair for pair in pairs if math.isfinite(sum(pair))], float).reshape(-1, 2)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, float).ravel()
    found: NDArray[np.float64] = array[np.isfinite(array)]
    return found


def _box(axes: Any, values: Sequence[float], place: int) -> None:
    low, middle, high = np.percentile(values, (25, 50, 75))
    axes.barh(place, high - low, left=low, height=0.56, color="#e8eef0", ec="#b5c1c7", lw=0.9, zorder=1)
    axes.plot([middle, middle], [place - 0.28, place + 0.28], color=style.INK, lw=1.8, zorder=2)


def _score_limits(axes: Any, values: Sequence[float]) -> None:
    """From the next lower tenth below the worst case to one, where scores are shares of one."""
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        start = max(0.0, math.floor(10 * low - 0.5) / 10)
        axes.set_xlim(start - 0.02 * (1 - start), 1 + 0.02 * (1 - start))


def _scatter_groups(
    figure: Any, axes: Any, x: NDArray[np.float64], y: NDArray[np.float64], groups: Sequence[str] | None
) -> None:
    names = list(dict.fromkeys(groups or ()))
    if not 1 < len(names) <= COLOURED_GROUPS or groups is None:
        axes.scatter(x, y, s=30, color=style.colour(0), alpha=0.8, lw=0, zorder=3)
        return
    member = np.asarray(groups)
    for place, name in enumerate(names):
        mine = member == name
        shape = style.marker(place)
        axes.scatter(
            x[mine], y[mine], s=32, color=style.colour(place), marker=shape, lw=0, label=name, zorder=3
        )
    style.legend_below(figure, axes)


def _limits_of_agreement(axes: Any, difference: NDArray[np.float64]) -> None:
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    axes.axhline(0, color="#b5c1c7", lw=1)
    lines = [
        (bias, "-", "bias"),
        (bias + spread, (0, (4, 3)), "+1.96 SD"),
        (bias - spread, (0, (4, 3)), "-1.96 SD"),
    ]
    for height, dashes, name in lines if spread else lines[:1]:
        axes.axhline(height, color=style.SOFT, lw=1.2, ls=dashes)
        axes.annotate(
            name.replace("-", "−"),
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=style.SOFT,
        )
    reach = max(abs(bias) + spread, float(np.abs(difference).max())) or 1.0
    axes.set_ylim(-1.2 * reach, 1.25 * reach)


def _short_ticks(axes: Any) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        if max(map(abs, axis.get_view_interval())) >= 1000:
            axis.set_major_formatter(EngFormatter(sep=""))
