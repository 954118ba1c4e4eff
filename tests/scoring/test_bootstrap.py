import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.scoring.bootstrap import (
    drawn,
    group_indices,
    interval,
    interval_of_totals,
    percentile_interval,
)


def test_mean_interval_agrees_with_scipy_without_clusters():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).normal(5, 2, 60)
    low, high = interval(values, list(range(60)), samples=4000)
    peer = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.08)


def test_groups_widen_the_interval():
    """Ten copies of each of five values tell no more than the five values."""
    values = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    patients = np.repeat(np.arange(5), 10)
    alone = interval(values, np.arange(50))
    together = interval(values, patients)
    five = interval([0.1, 0.3, 0.5, 0.7, 0.9], np.arange(5))
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert together == pytest.approx(five)


def test_two_groups_hand_worked():
    """Two groups of 0 and 1: a sample's mean is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4."""
    assert interval([0.0, 1.0], ["a", "b"]) == (0.0, 1.0)
    assert interval([0.0, 1.0], ["a", "b"], level=0.4) == (0.5, 0.5)


def test_one_group_has_no_interval():
    assert all(map(math.isnan, interval([0.1, 0.9], ["a", "a"])))
    assert all(map(math.isnan, interval([], [])))
    assert all(map(math.isnan, interval([0.1, 0.9], ["a", "a"], statistic=lambda rows: float(rows.mean()))))


def test_undefined_scores_are_left_out_with_their_group():
    values = [0.2, 0.4, 0.6, math.nan]
    assert interval(values, list("abcd")) == interval(values[:3], list("abc"))
    assert all(map(math.isnan, interval([0.2, math.nan], list("ab"))))


def test_totals_equal_the_general_way():
    generator = np.random.default_rng(1)
    rows, groups = generator.integers(1, 50, (30, 3)), generator.integers(0, 8, 30)
    totals = interval_of_totals(rows, groups, lambda t: 2 * t[:, 0] / (2 * t[:, 0] + t[:, 1] + t[:, 2]))

    def pooled(sample):
        tp, fp, fn = sample.sum(axis=0)
        return 2 * tp / (2 * tp + fp + fn)

    assert totals == pytest.approx(interval(rows, groups, statistic=pooled))


def test_same_seed_same_interval():
    values, groups = np.random.default_rng(0).random(20), np.arange(20)
    assert interval(values, groups, seed=4) == interval(values, groups, seed=4)
    assert interval(values, groups, seed=4) != interval(values, groups, seed=5)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_each_sample_draws_as_many_groups_as_there_are(count, seed):
    (part,) = drawn(count, 50, seed)
    assert part.shape == (50, count)
    assert (part.sum(axis=1) == count).all()
    assert part.min() >= 0


def test_parts_draw_the_same_as_one(monkeypatch):
    (whole,) = drawn(7, 10)
    monkeypatch.setattr("hilum.scoring.bootstrap.CHUNK_VALUES", 21)
    assert np.array_equal(np.concatenate(list(drawn(7, 10))), whole)
    assert not list(drawn(1, 10))


def test_mostly_undefined_samples_give_no_interval():
    assert all(map(math.isnan, percentile_interval([1.0, math.nan, math.nan])))
    assert percentile_interval([1.0, 1.0, math.nan]) == (1.0, 1.0)


def test_errors():
    with pytest.raises(HilumError, match="3 rows and 2 groups"):
        interval([1, 2, 3], ["a", "b"])
    with pytest.raises(HilumError, match="level"):
        interval([1.0, 2.0], ["a", "b"], level=95)
    assert group_indices(["x", "y", "x"])[1] == 2


def test_no_samples_no_interval():
    totals = interval_of_totals(np.ones((4, 3)), ["a", "a", "b", "c"], lambda t: t[:, 0], samples=0)
    assert all(math.isnan(end) for end in totals)
