import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.scoring.operating_point import at_threshold, operating_point

PROBABILITY = [0.1, 0.3, 0.35, 0.6, 0.7, 0.9]
LABEL = [0, 0, 1, 0, 1, 1]


def test_youden_by_hand():
    """At 0.325: sensitivity 1, specificity 2/3, sum 1.667. At 0.65: 2/3 and 1, as much: the higher wins."""
    point = operating_point(PROBABILITY, LABEL, "youden")
    assert point.threshold == pytest.approx(0.65)
    assert (point.sensitivity, point.specificity) == pytest.approx((2 / 3, 1))
    assert point.cases == 6


def test_min_sensitivity_by_hand():
    point = operating_point(PROBABILITY, LABEL, "min-sensitivity=0.99")
    assert point.threshold == pytest.approx(0.325)
    assert (point.sensitivity, point.specificity) == pytest.approx((1, 2 / 3))
    assert operating_point(PROBABILITY, LABEL, "min-sensitivity=0.6").threshold == pytest.approx(0.65)


def test_cost_by_hand():
    """Missing one positive costs 5, an alarm 1: take the alarm. The other way round: miss it."""
    assert operating_point(PROBABILITY, LABEL, "cost=1:5").threshold == pytest.approx(0.325)
    assert operating_point(PROBABILITY, LABEL, "cost=5:1").threshold == pytest.approx(0.65)
    useless = operating_point([0.2, 0.9, 0.5, 0.1], [1, 0, 0, 0], "cost=9:1")
    assert (useless.sensitivity, useless.specificity) == (0, 1)
    assert useless.threshold > 0.9


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40),
    st.sampled_from(["youden", "cost=1:3", "min-sensitivity=0.8"]),
)
def test_the_point_does_what_it_says_and_nothing_is_better(pairs, rule):
    probability = np.array([level / 20 for level, _ in pairs])
    label = np.array([positive for _, positive in pairs])
    if label.all() or not label.any():
        return
    point = operating_point(probability, label, rule)
    again = at_threshold(probability, label, point.threshold)
    assert (again.sensitivity, again.specificity) == pytest.approx((point.sensitivity, point.specificity))
    others = [at_threshold(probability, label, cut) for cut in [*np.unique(probability), 1.1]]
    if rule == "youden":
        best = max(other.sensitivity + other.specificity for other in others)
        assert point.sensitivity + point.specificity == pytest.approx(best)
    if rule.startswith("min"):
        assert point.sensitivity >= 0.8 - 1e-9
        assert point.specificity == pytest.approx(
            max(o.specificity for o in others if o.sensitivity >= 0.8 - 1e-9)
        )


def test_youden_agrees_with_scikit_learn():
    from sklearn.metrics import roc_curve

    generator = np.random.default_rng(0)
    label = generator.random(300) > 0.6
    probability = np.clip(label * 0.2 + generator.random(300) * 0.8, 0, 1)
    false, true, _ = roc_curve(label, probability)
    point = operating_point(probability, label)
    assert point.sensitivity + point.specificity - 1 == pytest.approx((true - false).max())


def test_certain_probabilities_still_leave_room():
    point = operating_point([1.0, 1.0], [0, 1], "cost=9:1")
    assert point.threshold > 1
    assert point.specificity == 1


def test_unknown_labels_are_left_out():
    assert operating_point([*PROBABILITY, 0.5], [*LABEL, np.nan]) == operating_point(PROBABILITY, LABEL)


@pytest.mark.parametrize("rule", ["best", "cost=1", "min-sensitivity=2", "min-sensitivity=0", ""])
def test_unknown_rules(rule):
    with pytest.raises(HilumError, match="rule"):
        operating_point(PROBABILITY, LABEL, rule)


def test_both_classes_are_needed():
    with pytest.raises(HilumError, match="2 positive and 0 negative"):
        operating_point([0.1, 0.2], [1, 1])
