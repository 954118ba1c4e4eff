"""What the page's charts draw: training curves, box plots with their points, learning curves."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.image.colours import TARGET_COLOURS

COLOURS = [colour.hex for colour in TARGET_COLOURS if colour.name != "yellow"]
_QUIET = {"animation": False, "textStyle": {"fontFamily": "system-ui, sans-serif"}, "color": COLOURS}
_BARE = {"axisLine": {"show": False}, "axisTick": {"show": False}}
_GREY, _FAINT = "#74838d", "rgba(125, 140, 150, 0.3)"
Rows = Mapping[str, Sequence[tuple[float, Mapping[str, float]]]]


def curve_options(folds: Rows, key: str) -> dict[str, Any]:
    """One value of a training over its steps, a line a fold."""
    series = [
        {
            "type": "line",
            "name": name,
            "showSymbol": False,
            "data": [[step, round(values[key], 4)] for step, values in rows if key in values],
        }
        for name, rows in folds.items()
    ]
    top = {"max": 1, "min": 0} if not key.startswith("loss") else {}
    return readable(
        {
            **_QUIET,
            "title": {"text": words_of(key), "left": 0, "textStyle": {"fontSize": 13}},
            "grid": {"left": 48, "right": 16, "top": 36, "bottom": 56},
            "tooltip": {"trigger": "axis"},
            "legend": {"bottom": 0, "type": "scroll"},
            "xAxis": {"type": "value", "name": "step", "nameLocation": "middle", "nameGap": 22},
            "yAxis": {"type": "value", **top},
            "series": series,
        }
    )


def readable(options: dict[str, Any]) -> dict[str, Any]:
    """The same with letters and lines in a grey that is seen on white and on black."""
    for place in ("xAxis", "yAxis"):
        axes = options[place] if isinstance(options[place], list) else [options[place]]
        for axis in axes:
            axis.setdefault("axisLabel", {})["color"] = _GREY
            axis.setdefault("splitLine", {})["lineStyle"] = {"color": _FAINT}
            axis["nameTextStyle"] = {"color": _GREY}
            axis.setdefault("axisLine", {})["lineStyle"] = {"color": _GREY}
    for place in ("legend", "title"):
        if place in options:
            options[place].setdefault("textStyle", {})["color"] = _GREY
    return options


def words_of(key: str) -> str:
    """A column of the history as people say it.

    >>> words_of("dice_Nerve"), words_of("loss")
    ('Dice of Nerve while training', 'Loss')
    """
    if key.startswith("dice_"):
        return f"Dice of {key.removeprefix('dice_')} while training"
    return key.replace("_", " ").capitalize()


def curve_keys(folds: Rows) -> list[str]:
    """Which columns are worth drawing: scores first, then the loss."""
    names = list(dict.fromkeys(key for rows in folds.values() for _, values in rows for key in values))
    scores = [name for name in names if name.startswith(("dice_", "accuracy", "auc"))]
    return [*scores[:3], *(name for name in names if name == "loss")]


def quartiles(values: Sequence[float]) -> list[float]:
    """Lowest, lower quartile, median, upper quartile, highest, as box plots show them.

    >>> quartiles([1, 2, 3, 4, 5])
    [1, 2.0, 3, 4.0, 5]
    """
    ordered = sorted(values)
    if len(ordered) < 2:
        return [ordered[0]] * 5
    low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
    return [ordered[0], low, statistics.median(ordered), high, ordered[-1]]


def box_options(groups: Mapping[str, Sequence[float]], label: str) -> dict[str, Any]:
    """A box for each group, with every point beside its middle."""
    names = list(groups)
    points = [
        [at + _spread(k, len(values)), value]
        for at, values in enumerate(groups.values())
        for k, value in enumerate(values)
    ]
    return readable(
        {
            **_QUIET,
            "grid": {"left": 64, "right": 16, "top": 24, "bottom": 64},
            "tooltip": {"trigger": "item"},
            "xAxis": [
                {
                    "type": "category",
                    "data": names,
                    "axisLabel": {"interval": 0, "rotate": 30 if len(names) > 6 else 0},
                },
                {"type": "value", "min": -0.5, "max": max(len(names), 1) - 0.5, "show": False},
            ],
            "yAxis": {
                "type": "value",
                "name": label,
                "nameLocation": "middle",
                "nameGap": 48,
                "scale": True,
                **_BARE,
            },
            "series": [
                {
                    "type": "boxplot",
                    "data": [quartiles(values) for values in groups.values()],
                    "itemStyle": {"color": "rgba(0,114,178,0.15)", "borderColor": "#0072b2"},
                },
                {
                    "type": "scatter",
                    "xAxisIndex": 1,
                    "data": points,
                    "symbolSize": 7,
                    "itemStyle": {"color": "#d55e00"},
                },
            ],
        }
    )


def _spread(at: int, count: int) -> float:
    """Points side by side, so that equal ones are seen."""
    return 0.0 if count < 2 else 0.24 * (at / (count - 1) - 0.5)


def learning_options(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Score over the number of images, with intervals as bars."""
    bars = [[[p["images"], end] for end in p["interval"]] for p in points if None not in p["interval"]]
    lines = [
        {
            "type": "line",
            "data": bar,
            "showSymbol": True,
            "symbol": "rect",
            "symbolSize": [12, 2],
            "lineStyle": {"color": "#0072b2", "width": 1.5},
            "itemStyle": {"color": "#0072b2"},
            "silent": True,
        }
        for bar in bars
    ]
    return readable(
        {
            **_QUIET,
            "grid": {"left": 56, "right": 24, "top": 24, "bottom": 48},
            "tooltip": {"trigger": "item"},
            "xAxis": {
                "type": "value",
                "name": "images to learn from",
                "nameLocation": "middle",
                "nameGap": 26,
            },
            "yAxis": {
                "type": "value",
                "name": "mean score",
                "nameLocation": "middle",
                "nameGap": 40,
                "scale": True,
            },
            "series": [
                {
                    "type": "line",
                    "data": [[p["images"], round(p["score"], 4)] for p in points],
                    "symbolSize": 9,
                },
                *lines,
            ],
        }
    )
