"""The studio's own elements: the canvas that shows and paints, and the curve with a point to drag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nicegui.element import Element

STATIC = Path(__file__).parents[1] / "static"


class Canvas(Element, component=STATIC / "viewer.js"):
    """Shows one case at a time and paints its masks; strokes go to /api/stroke by themselves."""

    def __init__(self, cases: Sequence[str], case: str, on_loose: Callable[[], object]) -> None:
        super().__init__()
        self._props["cases"] = list(cases)
        self._props["case"] = case
        self.on("loose", lambda _: on_loose())


class OperatingCurve(Element, component=STATIC / "roc.js"):
    """An ROC curve (or FROC where `scans` is given) with an operating point that can be dragged.

    `hits` are probabilities of the positive cases (or of the nodules found), `alarms` of the others.
    """

    def __init__(
        self,
        hits: Sequence[float],
        alarms: Sequence[float],
        positive: str,
        start: float,
        total: int | None = None,
        scans: int | None = None,
    ) -> None:
        super().__init__()
        self._props["hits"] = list(hits)
        self._props["alarms"] = list(alarms)
        self._props["total"] = len(hits) if total is None else total
        self._props["scans"] = scans or 1
        self._props["free"] = scans is not None
        self._props["positive"] = positive
        self._props["start"] = min(max(start, 0.0), 1.0)
