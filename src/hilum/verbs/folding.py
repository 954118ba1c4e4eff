"""Folds as the verbs make them: groups whole, duplicates on one side, targets and classes balanced."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hilum import tasks
from hilum.planning.planner import Wishes, wished_folds
from hilum.study.duplicates import Pair, find_duplicates, together
from hilum.study.names import counted
from hilum.study.open import SURVEYED_BYTES, total_bytes
from hilum.study.splits import Splits, make_folds
from hilum.study.study import Study
from hilum.study.survey import Survey, survey_study
from hilum.study.validation import hold_back

logger = logging.getLogger(__name__)


def plan_folds(study: Study, wishes: Wishes) -> Splits:
    """Folds of a study; byte-equal and near-equal images stay together, but where given splits part them.

    Raises StudyError where the wished number of folds cannot be made.
    """
    survey = survey_of(study)
    pairs = find_duplicates(study, survey.facts)
    splits = make_folds(study, wished_folds(wishes), balance(study, survey), together=together(pairs))
    return replace(splits, reason=f"{splits.reason}; {_told(splits, pairs)}") if pairs else splits


def _told(splits: Splits, pairs: Sequence[Pair]) -> str:
    """How many pairs of alike images there are, and how many of them given splits or lone groups part."""
    sides = [({*fold.train, *fold.val}, set(fold.test)) for fold in splits.folds]
    parted = sum(
        any(a in learnt and b in scored for learnt, scored in sides for a, b in ((one, other), (other, one)))
        for one, other in together(pairs)
    )
    where = f"{parted} of them on both sides of a fold" if parted else "kept on one side of every fold"
    return f"{counted(len(pairs), 'pair')} of equal or nearly equal images, {where}"


def hold_some_back(splits: Splits, study: Study, share: float) -> Splits:
    """The folds with a share of each training set held back, to be watched while training."""
    survey = survey_of(study)
    pairs = find_duplicates(study, survey.facts)
    return hold_back(splits, study, share, balance(study, survey), together=together(pairs))


def balance(study: Study, survey: Survey) -> Mapping[str, Sequence[float]] | None:
    """What is spread evenly over the folds; labels alone where the study was too large to survey."""
    return tasks.find_task(study).balance(study, survey.facts) if survey.facts else None


def survey_of(study: Study) -> Survey:
    """Every image looked at once; nothing where the study is larger than 8 GB."""
    if total_bytes(study) > SURVEYED_BYTES:
        logger.warning("more than 8 GB of images: duplicates across folds are not looked for")
        return Survey({}, ())
    return survey_study(study)
