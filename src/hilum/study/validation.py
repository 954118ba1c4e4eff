"""Groups held back from training: for watching, calibration and the operating point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hilum.errors import StudyError
from hilum.study.balance import spread, units_of
from hilum.study.names import counted
from hilum.study.splits import Fold, Splits
from hilum.study.study import Study

_MOST_PARTS = 20


def hold_back(
    splits: Splits,
    study: Study,
    share: float,
    balance: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
    together: Sequence[Sequence[str]] = (),
) -> Splits:
    """Folds whose training groups give up a share (0 to 0.5) for validation; folds that have one keep it.

    Whole groups are moved, balanced as folds are, and cases that may not be parted (`together`) go the
    same way. Raises StudyError where a fold has one group only.
    """
    folds = tuple(
        fold if fold.val else _held_back(fold, study, share, balance, seed, together) for fold in splits.folds
    )
    if folds == splits.folds:
        return splits
    held = [
        len(new.val) / len(old.train) for new, old in zip(folds, splits.folds, strict=True) if not old.val
    ]
    words = (
        f"; {100 * sum(held) / len(held):.0f} % of the images of each training part are held back, by group"
    )
    return replace(splits, folds=folds, reason=splits.reason + words)


def _held_back(
    fold: Fold,
    study: Study,
    share: float,
    balance: Mapping[str, Sequence[float]] | None,
    seed: int,
    together: Sequence[Sequence[str]],
) -> Fold:
    inside = set(fold.train)
    units = units_of([case for case in study.cases if case.name in inside], together)
    if len(units) < 2:
        raise StudyError(
            f"training.validation={share:g}: the training part has {counted(len(units), 'group')}, and a "
            "group is not split; set training.validation=0"
        )
    taken, parts = _parts(share, len(units))
    place = spread(units, parts, balance, seed)
    train = tuple(name for name in fold.train if place[name] >= taken)
    return Fold(train, fold.test, tuple(name for name in fold.train if place[name] < taken))


def _parts(share: float, units: int) -> tuple[int, int]:
    """How many of how few equal parts come nearest to a share, so that some units lie on either side.

    >>> _parts(0.25, 200), _parts(0.4, 200), _parts(0.4, 3)
    ((1, 4), (2, 5), (1, 3))
    """
    pairs = [(taken, parts) for parts in range(2, min(units, _MOST_PARTS) + 1) for taken in range(1, parts)]
    return min(pairs, key=lambda pair: (round(abs(pair[0] / pair[1] - share), 9), pair[1]))
