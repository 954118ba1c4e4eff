"""Near-identical training images with contradicting masks: kept, left out, or counted half."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hilum.planning.plan import Plan
from hilum.study.duplicates import find_contradictions, find_duplicates
from hilum.study.study import Study
from hilum.study.survey import survey_study
from hilum.training.samples import Sample

logger = logging.getLogger(__name__)
WEIGHTS = {"half": 0.5, "drop": 0.0}


def contradicting(study: Study) -> frozenset[str]:
    """Names of the cases whose mask contradicts that of a near-identical image of the same group."""
    facts = survey_study(study).facts
    groups = {case.name: case.group for case in study.cases}
    pairs = [pair for pair in find_duplicates(study, facts) if groups[pair.first] == groups[pair.second]]
    found = find_contradictions(pairs, facts)
    return frozenset(name for item in found for name in (item.pair.first, item.pair.second))


def reconciled(
    samples: Mapping[str, Sequence[Sample]], study: Study, plan: Plan
) -> dict[str, tuple[Sample, ...]]:
    """The samples of each case, those of contradicting cases with weight 0 ("drop") or 0.5 ("half").

    Samples of weight 0 are not trained on; what is predicted and scored stays as it is.
    """
    weight = WEIGHTS.get(plan.data.contradictions)
    names = contradicting(study) & samples.keys() if weight is not None else frozenset()
    if names:
        how = plan.data.contradictions
        logger.info("%d of %d cases contradict each other: %s", len(names), len(samples), how)
    return {
        name: tuple(replace(one, weight=one.weight * (weight or 0.0)) for one in found)
        if name in names
        else tuple(found)
        for name, found in samples.items()
    }
