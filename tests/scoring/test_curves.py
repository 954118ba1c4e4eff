import numpy as np
import pytest

from hilum.scoring.curves import precision_recall_points, reliability_points, roc_points
from hilum.scoring.ranking import auc, average_precision

generator = np.random.default_rng(0)
LABEL = (generator.random(200) > 0.5).astype(float)
PROBABILITY = np.clip(LABEL * 0.3 + generator.random(200) * 0.7, 0, 1)


def test_area_under_the_points_is_the_score():
    curve = roc_points(PROBABILITY, LABEL)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auc(PROBABILITY, LABEL == 1)[0])
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    curve = precision_recall_points(PROBABILITY, LABEL)
    area = -(np.diff(curve.x) * curve.y[:-1]).sum()
    assert area == pytest.approx(average_precision(PROBABILITY, LABEL == 1)[0])
    assert len(curve.x) == len(curve.y) == len(curve.at)


def test_reliability_points_leave_unknown_labels_out():
    label = LABEL.copy()
    label[:50] = np.nan
    assert reliability_points(PROBABILITY, label).at.sum() == 150
