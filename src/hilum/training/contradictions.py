"""Near-identical training images with contradicting masks: kept, left out, or counted half."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from hilum.study.duplicates import find_contradictions, find_duplicates
from hilum.study.study import Study
from hilum.study.survey import survey_study
from hilum.training.samples import Sample

logger = logging.getLogger(__name__)
HALF = 0.5


def contradicting(study: Study) -> frozenset[str]:
    """Names of the cases whose mask contradicts that of a near-identical image of the same group."""
    facts = survey_study(study).facts
    groups = {case.name: case.group for case in study.cases}
    pairs = [pair for pair in find_duplicates(study, facts) if groups[pair.first] == groups[pair.second]]
    found = find_contradictions(pairs, facts)
    return frozenset(name for item in found for name in (item.pair.first, item.pair.second))


def reconciled(samples: Sequence[Sample], names: Collection[str], how: str) -> list[Sample]:
    """The training samples with those of `names` left out ("drop"), counted half ("half") or as they are.

    Where nothing else would be left, all are kept.
    """
    touched = sum(sample.name in names for sample in samples)
    if how == "keep" or not touched or touched == len(samples):
        return list(samples)
    logger.info("contradicting masks: %d of %d training samples (%s)", touched, len(samples), how)
    if how == "drop":
        return [sample for sample in samples if sample.name not in names]
    return [
        replace(sample, weight=sample.weight * HALF) if sample.name in names else sample for sample in samples
    ]
