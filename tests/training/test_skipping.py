import logging
import math

import pytest

from hilum.errors import TrainingError
from hilum.training.skipping import NAN_LIMIT, Skipped


def test_many_in_a_row_stop_the_training_with_what_to_try():
    found = Skipped(2, 3e-3)
    for step in range(1, NAN_LIMIT + 1):
        found.count(math.nan, step)
    with pytest.raises(TrainingError, match=r"fold 2: .*21 of 21 steps.*learning_rate=0\.0003"):
        found.count(math.inf, NAN_LIMIT + 1)


def test_a_quarter_of_all_stops_it_too_and_fewer_do_not():
    found = Skipped(0, 3e-3)
    for step in range(1, 1001):
        found.count(math.nan if step % 5 == 0 else 0.5, step)
    assert (found.skipped, found.in_a_row) == (200, 1)
    often = Skipped(0, 3e-3)
    for step in range(1, 3 * NAN_LIMIT + 3):
        often.count(math.nan if step % 3 == 0 else 0.5, step)
    with pytest.raises(TrainingError, match="NaN"):
        often.count(math.nan, 3 * NAN_LIMIT + 3)


def test_what_was_skipped_is_told_once_and_only_if_there_was_any(caplog):
    with caplog.at_level(logging.WARNING):
        Skipped(1, 3e-3).tell()
        assert not caplog.records
        Skipped(1, 3e-3, skipped=4).tell()
    assert "fold 1: 4 steps" in caplog.text
