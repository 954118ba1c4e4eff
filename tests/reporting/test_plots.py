import io
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from hilum.reporting import decision_plots, detection_plots, plots

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
    "training": lambda kind: plots.training_curve(HISTORY, "loss", kind=kind),
    "logarithmic": lambda kind: plots.training_curve(HISTORY, "lr", logarithmic=True, kind=kind),
    "cases": lambda kind: plots.case_scores(CASES, kind=kind),
    "thresholds": lambda kind: plots.threshold_curves(
        {HARD: ([0, 1], [0.5, 0.6])}, chosen={HARD: 0.5}, kind=kind
    ),
    "agreement": lambda kind: plots.agreement([1, 2, 3e5], [1.1, 2, 3e5], groups=["a", "b", HARD], kind=kind),
    "bland_altman": lambda kind: plots.bland_altman(
        [1, 2, math.nan], [1, 3, 4], groups=list("abc"), kind=kind
    ),
    "histogram": lambda kind: plots.histogram({"a": [1, 2, 2], "b": [3]}, label=HARD, line=2, kind=kind),
    "roc": lambda kind: decision_plots.roc({HARD: (TRUTH, PROBABILITY)}, operating=(0.9, 0.8), kind=kind),
    "pr": lambda kind: decision_plots.precision_recall({HARD: (TRUTH, PROBABILITY)}, kind=kind),
    "reliability": lambda kind: decision_plots.reliability({HARD: (TRUTH, PROBABILITY)}, kind=kind),
    "confusion": lambda kind: decision_plots.confusion([[5, 1], [0, 9]], ["a", HARD], kind=kind),
    "many": lambda kind: decision_plots.confusion(
        np.eye(9), [f"class number {place}" for place in range(9)], kind=kind
    ),
    "froc": lambda kind: detection_plots.froc(
        {"both": ([0, 0.1, 1], [0, 0.5, 0.9]), "first": (detection_plots.RATES, [0.1] * 7)},
        intervals=[(0.2, 0.9)] * 7,
        operating=(0.0, 0.4),
        kind=kind,
    ),
    "sizes": lambda kind: detection_plots.found_by_size(["small", "large"], [1, 0], [2, 0], kind=kind),
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
    "thresholds": lambda: plots.threshold_curves({}),
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
    content = FULL[name]("svg")
    root = ElementTree.fromstring(content)
    assert root.tag.endswith("svg")
    assert root.get("viewBox"), "must scale with its page"
    for element in root.iter():
        for key, value in element.attrib.items():
            assert not (key.endswith("href") and not value.startswith("#"))


@pytest.mark.parametrize("name", ["cases", "roc"])
def test_plots_may_be_png(name):
    image = Image.open(io.BytesIO(FULL[name]("png")))
    assert image.width > 400


@pytest.mark.parametrize("name", EMPTY)
def test_plots_of_nothing_are_still_plots(name):
    assert ElementTree.fromstring(EMPTY[name]()).tag.endswith("svg")


def test_same_data_give_the_same_bytes():
    assert FULL["cases"]("svg") == FULL["cases"]("svg")


def test_plots_leave_global_settings_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    FULL["training"]("svg")
    assert dict(mpl.rcParams) == before
