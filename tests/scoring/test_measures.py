import numpy as np
import pytest
from sklearn import metrics

from hilum.scoring.bootstrap import interval
from hilum.scoring.measures import MEASURES, Groups, binary_measures, evaluate, macro, multiclass_measures


@pytest.fixture
def binary():
    generator = np.random.default_rng(0)
    label = generator.random(120) > 0.6
    probability = np.clip(label * 0.3 + generator.random(120) * 0.7, 0, 1)
    return probability, label, probability >= 0.5, generator.integers(0, 25, 120)


def test_binary_values_agree_with_scikit_learn(binary):
    probability, label, called, _ = binary
    groups = Groups(np.arange(120), 120)
    found = evaluate(binary_measures(probability, label, called, groups), groups, 120, samples=50)
    expected = {
        "auc": metrics.roc_auc_score(label, probability),
        "average_precision": metrics.average_precision_score(label, probability),
        "accuracy": metrics.accuracy_score(label, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, called),
        "precision": metrics.precision_score(label, called),
        "recall": metrics.recall_score(label, called),
        "specificity": metrics.recall_score(label, called, pos_label=0),
        "f1": metrics.f1_score(label, called),
        "brier": metrics.brier_score_loss(label, probability),
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected)
    assert set(found) == set(MEASURES)
    for name in MEASURES:
        low, high = found[name]["interval"]
        assert low < high
        # The calibration error is biased upwards by resampling, so its value may lie below.
        assert name == "ece" or low <= found[name]["value"] <= high


def test_intervals_equal_a_plain_bootstrap_over_groups(binary):
    probability, label, called, patients = binary
    groups = Groups(patients, 25)
    found = evaluate(binary_measures(probability, label, called, groups), groups, 120, samples=200, seed=3)
    # Sorted by patient, so that both ways number, and draw, the same patients.
    by_patient = np.argsort(patients, kind="stable")
    rows, names = np.stack((probability, label), 1)[by_patient], patients[by_patient]

    def plain(sample):
        return metrics.roc_auc_score(sample[:, 1], sample[:, 0])

    expected = interval(rows, names, statistic=plain, samples=200, seed=3)
    assert found["auc"]["interval"] == pytest.approx(list(expected))


@pytest.mark.filterwarnings("ignore")
def test_multiclass_values_agree_with_scikit_learn():
    generator = np.random.default_rng(1)
    label = generator.integers(0, 4, 200)
    probabilities = generator.dirichlet(np.ones(4), 200) + 0.4 * np.eye(4)[label]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    called = probabilities.argmax(axis=1)
    groups = Groups(np.arange(200), 200)
    found = evaluate(multiclass_measures(probabilities, label, called, groups), groups, 200, samples=20)
    expected = {
        "auc": metrics.roc_auc_score(label, probabilities, multi_class="ovr", average="macro"),
        "average_precision": metrics.average_precision_score(np.eye(4)[label], probabilities),
        "accuracy": metrics.accuracy_score(label, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, called),
        "precision": metrics.precision_score(label, called, average="macro"),
        "recall": metrics.recall_score(label, called, average="macro"),
        "f1": metrics.f1_score(label, called, average="macro"),
        "brier": ((probabilities - np.eye(4)[label]) ** 2).sum(axis=1).mean(),
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected)
    right = label == called
    confidence = probabilities.max(axis=1)
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    error = sum(abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in range(15)) / 200
    assert found["ece"]["value"] == pytest.approx(error)


def test_macro_leaves_undefined_classes_out():
    groups = Groups(np.arange(3), 3)
    probability = np.array([0.2, 0.9, 0.6])
    known = binary_measures(probability, np.array([False, True, True]), probability > 0.5, groups)
    never = binary_measures(probability, np.zeros(3, bool), probability > 0.5, groups)
    once = np.ones((1, 3))
    assert np.isnan(never["auc"](once))[0]
    assert macro([known, never])["auc"](once)[0] == known["auc"](once)[0] == 1
