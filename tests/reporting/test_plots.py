import itertools
import math
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hilum.reporting import decision_plots, detection_plots, plots, style

GENERATOR = np.random.default_rng(0)
TRUTH = GENERATOR.integers(0, 2, 80)
PROBABILITY = np.clip(0.5 * TRUTH + 0.5 * GENERATOR.random(80), 0, 1)
HISTORY = {
    f"fold {fold}": [{"step": step, "loss": 1 / step, "lr": 1e-3} for step in (1, 5, 9)] for fold in (0, 1)
}
CASES = [
    {"target": target, "group": f"m{place % 4}", "dice": value}
    for target in ("Parenchyma", "SevereInflammation")
    for place, value in enumerate([0.7, 0.8, 0.9, math.nan, 0.95])
]
HARD = "x^2 $a_{b <&> µ"

FULL = {
    "training": lambda: plots.training_curve(HISTORY, "loss"),
    "logarithmic": lambda: plots.training_curve(HISTORY, "lr", logarithmic=True),
    "cases": lambda: plots.case_scores(CASES),
    "agreement": lambda: plots.agreement([1, 2, 3e5], [1.1, 2, 3e5], groups=["a", "b", HARD]),
    "bland_altman": lambda: plots.bland_altman([1, 2, math.nan], [1, 3, 4], groups=list("abc")),
    "histogram": lambda: plots.histogram({"a": [1, 2, 2], "b": [3]}, label=HARD, line=2),
    "roc": lambda: decision_plots.roc({HARD: (TRUTH, PROBABILITY)}, operating=(0.9, 0.8)),
    "pr": lambda: decision_plots.precision_recall({HARD: (TRUTH, PROBABILITY)}),
    "reliability": lambda: decision_plots.reliability({HARD: (TRUTH, PROBABILITY)}),
    "confusion": lambda: decision_plots.confusion([[5, 1], [0, 9]], ["a", HARD]),
    "many": lambda: decision_plots.confusion(np.eye(9), [f"class number {place}" for place in range(9)]),
    "froc": lambda: detection_plots.froc(
        {"both": ([0, 0.1, 1], [0, 0.5, 0.9]), "first": (detection_plots.RATES, [0.1] * 7)},
        intervals=[(0.2, 0.9)] * 7,
        operating=(0.0, 0.4),
    ),
    "sizes": lambda: detection_plots.found_by_size(["small", "large"], [1, 0], [2, 0]),
}
EMPTY = {
    "froc": lambda: detection_plots.froc({}),
    "no findings": lambda: detection_plots.froc({"a": ([], [])}),
    "no nodules": lambda: detection_plots.found_by_size(["small"], [0], [0]),
    "training": lambda: plots.training_curve({}, "loss"),
    "unknown": lambda: plots.training_curve(HISTORY, "nothing"),
    "cases": lambda: plots.case_scores([]),
    "nan": lambda: plots.case_scores([{"target": "a", "dice": math.nan}]),
    "one": lambda: plots.case_scores([{"target": "a", "dice": 0.5}]),
    "agreement": lambda: plots.agreement([], []),
    "zeros": lambda: plots.agreement([0.0], [0.0]),
    "bland_altman": lambda: plots.bland_altman([], []),
    "same": lambda: plots.bland_altman([1.0], [1.0]),
    "histogram": lambda: plots.histogram({"a": []}, label="x"),
    "roc": lambda: decision_plots.roc({}),
    "one class": lambda: decision_plots.roc({"a": ([1, 1], [0.3, 0.4])}),
    "pr": lambda: decision_plots.precision_recall({"a": ([math.nan], [0.3])}),
    "reliability": lambda: decision_plots.reliability({}),
    "confusion": lambda: decision_plots.confusion(np.zeros((2, 2)), ["a", "b"]),
}


@pytest.mark.parametrize("name", FULL)
def test_plots_are_valid_svg_without_addresses(name):
    content = FULL[name]()
    root = ElementTree.fromstring(content)
    assert root.tag.endswith("svg")
    assert root.get("viewBox"), "must scale with its page"
    for element in root.iter():
        for key, value in element.attrib.items():
            assert not (key.endswith("href") and not value.startswith("#"))


@pytest.mark.parametrize("name", EMPTY)
def test_plots_of_nothing_are_still_plots(name):
    assert ElementTree.fromstring(EMPTY[name]()).tag.endswith("svg")


def test_same_data_give_the_same_bytes():
    assert FULL["cases"]() == FULL["cases"]()


def test_plots_leave_global_settings_alone():
    before = dict(mpl.rcParams)
    FULL["training"]()
    assert dict(mpl.rcParams) == before


CARCINOMAS = [f"Invasive_ductal_carcinoma_of_no_special_type_grade_{grade}" for grade in (1, 2, 3)]


def drawn_by(monkeypatch, draw):
    """The figure that a plot is drawn on, laid out."""
    seen = []
    init = style.Figure.__init__

    def keep(self, *rest, **more):
        init(self, *rest, **more)
        seen.append(self)

    monkeypatch.setattr(style.Figure, "__init__", keep)
    draw()
    (figure,) = seen
    with mpl.rc_context(dict(style._RULES)):
        FigureCanvasAgg(figure).draw()  # this canvas has a renderer that measures texts
    return figure


def boxes(texts, figure):
    return [text.get_window_extent(figure.canvas.get_renderer()) for text in texts if text.get_text()]


@pytest.mark.parametrize("names", [["NORMAL", "PNEUMONIA"], CARCINOMAS, [f"class_{k:02}" for k in range(14)]])
def test_ticks_of_a_confusion_matrix_lie_within_it_apart_and_differ(monkeypatch, names):
    counts = np.eye(len(names))
    figure = drawn_by(monkeypatch, lambda: decision_plots.confusion(counts, names))
    (axes,) = figure.axes
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert len({tick.get_text() for tick in ticks}) == len(names)
        for box in boxes(ticks, figure):
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.width
    rows = boxes(axes.get_yticklabels(), figure)
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(rows))
    assert axes.bbox.width > 0.4 * figure.bbox.width


@pytest.mark.parametrize(
    "draw", [decision_plots.roc, decision_plots.precision_recall, decision_plots.reliability]
)
def test_legends_of_many_or_long_names_lie_outside(monkeypatch, draw):
    for names in ([f"class {place}" for place in range(14)], CARCINOMAS):
        figure = drawn_by(monkeypatch, lambda names=names: draw(dict.fromkeys(names, (TRUTH, PROBABILITY))))
        monkeypatch.undo()
        (axes,), (legend,) = figure.axes, figure.legends
        frame = legend.get_window_extent(figure.canvas.get_renderer())
        assert not frame.overlaps(axes.bbox)
        assert frame.width <= figure.bbox.width
        texts = [text.get_text().partition(":")[0] for text in legend.get_texts()]
        assert len(set(texts)) == len(names)
        assert axes.bbox.height > 250


def test_curves_of_one_colour_have_dashes_of_their_own():
    looks = [(style.colour(place), style.dashes(place)) for place in range(14)]
    assert len(set(looks)) == 14


def test_names_of_targets_that_are_cut_still_differ(monkeypatch):
    rows = [{"target": name, "dice": 0.5} for name in CARCINOMAS]
    figure = drawn_by(monkeypatch, lambda: plots.case_scores(rows))
    texts = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(set(texts)) == 3
    assert all("…" in text and text.endswith(str(grade)) for grade, text in enumerate(texts, 1))


@pytest.mark.parametrize(("rate", "wide"), [(1.0, (0.125, 8)), (0.03, (0.03, 8)), (20.0, (0.125, 20))])
def test_the_axis_holds_the_operating_point(monkeypatch, rate, wide):
    curve = {"both": ([0, 0.1, 30], [0, 0.5, 0.9])}
    figure = drawn_by(monkeypatch, lambda: detection_plots.froc(curve, operating=(rate, 0.4)))
    (axes,) = figure.axes
    (ring,) = [line for line in axes.lines if line.get_markersize() == 12]
    assert ring.get_xydata().tolist() == [[rate, 0.4]]
    assert axes.get_xlim() == pytest.approx((wide[0] / 1.2, wide[1] * 1.2))


@pytest.mark.parametrize("rate", [0.0, 500.0])
def test_an_operating_point_far_off_is_not_moved_onto_the_axis(monkeypatch, rate):
    curve = {"both": ([0, 0.1, 1], [0, 0.5, 0.9])}
    figure = drawn_by(monkeypatch, lambda: detection_plots.froc(curve, operating=(rate, 0.4)))
    (axes,) = figure.axes
    assert not [line for line in axes.lines if line.get_markersize() == 12]
    assert axes.get_xlim() == pytest.approx((0.125 / 1.2, 8 * 1.2))
