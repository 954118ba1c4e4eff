"""Plots of detectors: the free-response ROC curve, and what is found by diameter, as SVG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hilum.reporting import style
from hilum.scoring.detection import RATES

WIDER = 8.0
_NAMES = {2.0**-power: f"1/{2**power}" for power in range(1, 7)}


def rate_name(rate: float) -> str:
    """A rate of false positives as people write it.

    >>> rate_name(0.125), rate_name(2.0)
    ('1/8', '2')
    """
    return _NAMES.get(rate, f"{rate:g}")


def on_axis(rate: float, at: Sequence[float] = RATES) -> bool:
    """Whether a rate can be drawn beside those at `at`: above 0, and at most `WIDER` times beyond them.

    >>> on_axis(20.0), on_axis(0.0)
    (True, False)
    """
    return at[0] / WIDER <= rate <= at[-1] * WIDER


def froc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    at: Sequence[float] = RATES,
    points: ArrayLike | None = None,
    intervals: Sequence[Sequence[float]] = (),
    operating: tuple[float, float] | None = None,
    unit: str = "scan",
) -> bytes:
    """Sensitivity over false positives a scan on a doubling axis; the first curve whole, others dashed.

    `curves` maps name to (false positives a scan, sensitivity), both rising, joined by straight lines as
    the challenge does. `points` are the sensitivities at `at` (read off the first curve where not given),
    `intervals` a low and a high end for each. `operating` (rate, sensitivity) is marked by a ring, and
    the axis is as wide as it needs; one that is not `on_axis` is left out.
    """
    with style.drawing(height=4.0) as (_, axes, result):
        ring = operating if operating is not None and on_axis(operating[0], at) else None
        ends = [at[0], at[-1], *([ring[0]] if ring else [])]
        low, high = min(ends), max(ends)
        drawn = [
            (name, *_dense(*curve, at, low, high)) for name, curve in curves.items() if np.size(curve[0])
        ]
        for place, (name, x, y) in enumerate(drawn):
            dashes = "-" if place == 0 else (0, (5, 2.5))
            axes.plot(x, y, color=style.colour(place), ls=dashes, label=name, zorder=2 + place)
        if not drawn:
            style.nothing(axes)
        else:
            marks = np.interp(at, drawn[0][1], drawn[0][2]) if points is None else np.asarray(points, float)
            _marks(axes, at, marks, intervals)
            if ring is not None:
                axes.plot([ring[0]], ring[1:], "o", ms=12, mfc="none", mec=style.INK, mew=2, zorder=5)
                axes.plot([], [], "o", ms=9, mfc="none", mec=style.INK, mew=2, label="Operating point")
            axes.set_xscale("log", base=2)
            axes.set_xlim(low / 1.2, high * 1.2)
            ticks = _ticks(at, low, high)
            axes.set_xticks(ticks, [rate_name(rate) for rate in ticks])
            axes.set_ylim(-0.03, 1.03)
            if len(axes.get_legend_handles_labels()[1]) > 1:
                axes.legend(loc="lower right", borderaxespad=0.3, labelspacing=0.35)
        axes.set_xlabel(f"False positives a {unit}")
        axes.set_ylabel("Sensitivity")
    return result.getvalue()


def found_by_size(names: Sequence[str], found: Sequence[int], missed: Sequence[int]) -> bytes:
    """Nodules of each class of diameter as bars, found below and missed above, with "3 of 4" over each."""
    with style.drawing(height=4.0) as (_, axes, result):
        if not sum(found) + sum(missed):
            style.nothing(axes, "No nodules")
        else:
            places = np.arange(len(names))
            axes.bar(places, found, 0.62, color=style.colour(0), label="Found")
            axes.bar(
                places,
                missed,
                0.62,
                bottom=found,
                color="white",
                edgecolor=style.colour(1),
                hatch="////",
                label="Missed",
            )
            for place, (yes, no) in enumerate(zip(found, missed, strict=True)):
                text = f"{yes} of {yes + no}" if yes + no else "none"
                axes.annotate(
                    text,
                    (place, yes + no),
                    xytext=(0, 4),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9.5,
                )
            axes.set_xticks(places, names, color=style.INK)
            axes.set_ylim(0, 1.3 * max(a + b for a, b in zip(found, missed, strict=True)))
            axes.yaxis.get_major_locator().set_params(integer=True)
            axes.grid(False, axis="x")
            axes.legend(loc="upper right", ncols=2, borderaxespad=0.2)
        axes.set_xlabel("Diameter")
        axes.set_ylabel("Nodules")
    return result.getvalue()


def _ticks(at: Sequence[float], low: float, high: float) -> list[float]:
    """Those of the rates `at`, halved and doubled on to both ends of the axis."""
    ticks = list(at)
    while ticks[0] / 2 >= low / 1.2:
        ticks.insert(0, ticks[0] / 2)
    while ticks[-1] * 2 <= high * 1.2:
        ticks.append(ticks[-1] * 2)
    return ticks


def _dense(
    rate: ArrayLike, sensitivity: ArrayLike, at: Sequence[float], low: float, high: float
) -> tuple[Any, Any]:
    """The curve at many rates within the axis, for straight lines are bent by its doubling."""
    x, y = np.asarray(rate, float), np.asarray(sensitivity, float)
    if np.array_equal(x, at):
        return x, y
    inner = x[(x >= low) & (x <= high)]
    steps = np.unique(np.concatenate([np.geomspace(low, high, 200), inner]))
    return steps, np.interp(steps, x, y)


def _marks(axes: Any, at: Sequence[float], marks: Any, intervals: Sequence[Sequence[float]]) -> None:
    if len(intervals) == len(at):
        low, high = np.asarray(intervals, float).T
        axes.vlines(at, low, high, color=style.colour(0), lw=6, alpha=0.18)
    axes.plot(at, marks, "o", color=style.colour(0), ms=6, zorder=4)
