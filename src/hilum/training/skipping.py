"""Steps that move nothing, because their loss or gradients are no numbers: counted, told, and too many."""

from __future__ import annotations

import logging
import math

from hilum.errors import TrainingError

logger = logging.getLogger(__name__)
NAN_LIMIT = 20
NAN_SHARE = 0.25


class Skipped:
    """Counts the steps of a fold without a finite loss, and stops the training where there are too many.

    >>> found = Skipped(0, 1e-3)
    >>> found.count(math.nan, 1), found.count(0.5, 2), found.skipped, found.in_a_row
    (None, None, 1, 0)
    """

    def __init__(self, fold: int, learning_rate: float, skipped: int = 0, in_a_row: int = 0) -> None:
        self.fold, self.learning_rate = fold, learning_rate
        self.skipped, self.in_a_row = skipped, in_a_row

    def count(self, loss: float, step: int) -> None:
        """Take in one step. Raises TrainingError with what to try."""
        finite = math.isfinite(loss)
        self.skipped, self.in_a_row = self.skipped + (not finite), 0 if finite else self.in_a_row + 1
        many = self.skipped > NAN_LIMIT and self.skipped > NAN_SHARE * step
        if self.in_a_row <= NAN_LIMIT and not many:
            return
        rate = min(self.learning_rate, 0.1)
        raise TrainingError(
            f"fold {self.fold}: the loss has been NaN for {self.skipped} of {step} steps; start "
            f"again with a lower learning rate (--set training.learning_rate={rate / 10:g}) "
            "or with --set training.precision=32-true"
        )

    def tell(self) -> None:
        """Say how many steps were skipped."""
        if self.skipped:
            told = "fold %d: %d steps were skipped, because their loss was no number"
            logger.warning(told, self.fold, self.skipped)
