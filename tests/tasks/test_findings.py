from pathlib import Path

import pytest

from hilum.ct.candidates import Candidate
from hilum.planning.plan import DetectionPlan
from hilum.study.study import Case, Mark, Source
from hilum.tasks.findings import (
    Findings,
    at_threshold,
    operating_threshold,
    scored,
    second_by_fold,
    second_pays,
    threshold_by_fold,
)


def findings(name, fold, pairs, second=None):
    """A scan with one nodule at 0; `pairs` are (place along x, probability) of candidates."""
    case = Case(name, Source(Path(name)), marks=(Mark((0.0, 0.0, 0.0), 10.0),))
    found = tuple(Candidate((float(x), 0.0, 0.0), 6.0, p, p, p, 100.0) for x, p in pairs)
    return Findings(case, fold, found, second)


def good(name, fold):
    """The second classifier puts the nodule above two false alarms."""
    return findings(name, fold, [(50, 0.9), (80, 0.8), (0, 0.6)], (0.01, 0.01, 0.99))


def bad(name, fold):
    """The second classifier puts two false alarms above the nodule."""
    return findings(name, fold, [(0, 0.9), (50, 0.6), (80, 0.5)], (0.01, 0.99, 0.99))


def test_the_order_follows_the_final_probability():
    one = good("a", 0)
    assert [first for _, first in one.ordered(False)] == [0.9, 0.8, 0.6]
    assert one.ordered(True)[0][1] == 0.6
    assert findings("b", 0, [(0, 0.4)]).ordered(True)[0][0].probability == 0.4


def test_a_fold_is_judged_by_what_pays_on_the_others():
    found = [good("a", 0), bad("b", 1), good("c", 2)]
    plan = DetectionPlan()
    assert second_by_fold(found, plan) == {
        0: second_pays(found[1:], plan),
        1: True,
        2: second_pays(found[:2], plan),
    }
    assert second_by_fold([bad("a", 0), bad("b", 1)], plan) == {0: False, 1: False}
    assert second_by_fold([bad("a", 0), bad("b", 1)], DetectionPlan(second="always")) == {0: True, 1: True}
    assert second_by_fold([good("a", 0)], DetectionPlan(second="never")) == {0: False}


def test_a_single_fold_has_no_other_to_tell_and_uses_it():
    assert second_by_fold([bad("a", 0)], DetectionPlan()) == {0: True}


def test_the_operating_threshold_is_the_lowest_that_keeps_false_positives_rare():
    found = [findings("a", 0, [(0, 0.9), (50, 0.8), (60, 0.3)]), findings("b", 0, [(50, 0.7), (0, 0.5)])]
    curve = scored(found, {})
    threshold = operating_threshold(curve, 1.0)
    assert at_threshold(curve, dict.fromkeys(curve.scans, threshold)) == pytest.approx((1.0, 1.0))
    assert threshold == pytest.approx(0.5)
    assert at_threshold(curve, dict.fromkeys(curve.scans, operating_threshold(curve, 0.25))) == pytest.approx(
        (0.0, 0.5)
    )


def test_irrelevant_findings_count_neither_way():
    one = findings("a", 0, [(0, 0.9), (50, 0.95)])
    marks = (*(one.case.marks or ()), Mark((50.0, 0.0, 0.0), -1.0, "excluded"))
    excluded = Findings(Case("a", one.case.image, marks=marks), 0, one.candidates)
    assert scored([one], {}).cpm < 1
    assert scored([excluded], {}).cpm == 1


def test_each_fold_is_judged_at_the_threshold_of_the_others():
    quiet, loud = findings("a", 0, [(0, 0.6), (50, 0.2)]), findings("b", 1, [(0, 0.95), (50, 0.9), (60, 0.8)])
    plan = DetectionPlan(false_positives=0.5)
    found = threshold_by_fold([quiet, loud], {0: False, 1: False}, plan)
    assert found == {0: pytest.approx(0.95), 1: pytest.approx(0.6)}
    curve = scored([quiet, loud], {})
    assert at_threshold(curve, {"a": found[0], "b": found[1]}) == pytest.approx((1.0, 0.5))
    assert threshold_by_fold([quiet], {0: False}, plan) == {0: pytest.approx(0.6)}, "there is no other fold"


def test_a_threshold_above_all_where_even_the_first_is_too_many():
    curve = scored([findings("a", 0, [(50, 0.9), (0, 0.5)]), findings("b", 0, [(0, 0.4)])], {})
    threshold = operating_threshold(curve, 0.25)
    assert threshold > 0.9
    assert at_threshold(curve, dict.fromkeys(curve.scans, threshold)) == (0, 0)
