import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.scoring.ranking import auc, average_precision


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_agree_with_scikit_learn_also_weighted_and_tied(count, levels, seed):
    generator = np.random.default_rng(seed)
    probability = generator.integers(0, levels, count) / levels
    label = np.append([True, False], generator.random(count - 2) > 0.5)
    weights = generator.integers(1, 4, (3, count)).astype(float)
    for found, reference in ((auc, roc_auc_score), (average_precision, average_precision_score)):
        assert found(probability, label)[0] == pytest.approx(reference(label, probability))
        expected = [reference(label, probability, sample_weight=row) for row in weights]
        assert found(probability, label, weights) == pytest.approx(expected)


def test_zero_weight_is_absence():
    probability, label = np.array([0.9, 0.8, 0.1, 0.5]), np.array([True, False, False, True])
    weights = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    found = auc(probability, label, weights)
    assert found[0] == 1.0
    assert math.isnan(found[1])
    assert math.isnan(average_precision(probability, label, weights)[1])


def test_one_class_or_nothing_is_undefined():
    assert math.isnan(auc(np.array([0.1, 0.2]), np.array([True, True]))[0])
    assert math.isnan(auc(np.array([]), np.array([], bool))[0])


def test_many_weightings_in_parts(monkeypatch):
    generator = np.random.default_rng(0)
    probability, label, weights = generator.random(30), generator.random(30) > 0.5, generator.random((20, 30))
    whole = auc(probability, label, weights)
    monkeypatch.setattr("hilum.scoring.ranking.CHUNK_VALUES", 100)
    assert np.allclose(auc(probability, label, weights), whole)
