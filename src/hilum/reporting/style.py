"""How every plot looks: one typeface, one palette, light grid; drawn without pyplot's global state."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hilum.image.colours import TARGET_COLOURS
from hilum.reporting import naming

INK, SOFT, GRID = "#17232b", "#52616b", "#dde4e7"
WIDTH, HEIGHT = 4.9, 3.5
# yellow cannot be seen as a line on white
COLOURS = (*(colour.hex for colour in TARGET_COLOURS if colour.name != "yellow"), "#5a5a5a")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.6)), (0, (2, 1.1)), (0, (6, 1.5, 1, 1.5)))
LETTER, LINE = 0.077, 0.19
"""Usual width and height in inches of a letter and a line of ticks and legends."""

_RULES: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa7ae",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.linewidth": 0.9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.9,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "hilum",
    # case names may hold dollar signs
    "text.parse_math": False,
    "axes.unicode_minus": True,
}


@contextlib.contextmanager
def drawing(width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple[Any, Any, io.BytesIO]]:
    """Yield (figure, axes, result): after the block `result` holds the plot as SVG bytes.

    Sizes in inches; at 4.9 the letters are right for half a page and for a telephone.
    """
    result = io.BytesIO()
    with mpl.rc_context(dict(_RULES)):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(), result
        FigureCanvasSVG(figure).print_svg(result, metadata={"Date": None, "Creator": None})


def colour(place: int) -> str:
    """The colour of the series at `place`; they repeat."""
    return COLOURS[place % len(COLOURS)]


def marker(place: int) -> str:
    """The marker of the series at `place`, so that colour is never the only difference; 49 pairs differ."""
    return MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]


def dashes(place: int) -> Any:
    """The line style of the series at `place`: solid, and others where colours begin again."""
    return DASHES[place // len(COLOURS) % len(DASHES)]


def legend(axes: Any, names: Sequence[str], place: str = "best", limit: int = 12) -> None:
    """A legend where there is more than one name and not so many that it would cover the plot."""
    if 1 < len(names) <= limit:
        axes.legend(loc=place, borderaxespad=0.3, labelspacing=0.35)


def legend_below(figure: Any, axes: Any, letters: int = 30, handle: float = 1.6) -> int:
    """A legend under the plot, which never covers a point, in as many columns as its names allow; its rows.

    Names of more `letters` are cut in the middle; `handle` is the length of the handles, in letters.
    """
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return 0
    short = naming.told_apart(names, lambda name: naming.cut(name, letters))
    columns = max(1, min(5, len(names), 60 // (naming.longest_line(short) + 5)))
    figure.legend(
        handles,
        short,
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.0,
        handlelength=handle,
        handletextpad=0.3,
        labelspacing=0.3,
    )
    return -(-len(names) // columns)


def nothing(axes: Any, text: str = "No values") -> None:
    """An empty plot that says so."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, ha="center", va="center", color=SOFT, transform=axes.transAxes)
