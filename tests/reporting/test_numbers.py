import math

import numpy as np
import pytest

from hilum.reporting import numbers


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "", "n/a", np.float32("nan")])
def test_no_value_is_an_en_dash(value):
    for write in (numbers.score, numbers.count, numbers.share, numbers.quantity, numbers.duration):
        assert write(value) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (343.0, "343"),
        (12.3456, "12.35"),
        (1e6, "1,000,000"),
        (0.05, "0.0500"),
        (np.int64(1200), "1,200"),
        (np.bool_(True), "yes"),
        (["a", 1], "a, 1"),
        (math.nan, "–"),
    ],
)
def test_cell(value, text):
    assert numbers.cell(value) == text


def test_interval_needs_both_ends():
    assert numbers.interval(None) == ""
    assert numbers.interval([0.5, math.nan]) == ""
    assert numbers.interval((0.5, 0.75), 2) == "[0.50, 0.75]"
