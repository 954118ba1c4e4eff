"""Flat images of different magnification side by side, told by their spacings."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.study.names import counted, listed
from hilum.study.study import Finding
from hilum.study.survey import Facts

# What is so much larger in one image than in another looks like another thing.
UNLIKE = 1.25


def magnification_findings(facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning of flat images whose known spacings are more than a quarter apart, naming the coarser ones.

    Volumes vary with every patient; of them nothing is said.
    """
    sizes = {
        name: seen.spacing.sizes[-1] * (1e3 if seen.spacing.unit == "mm" else 1.0)
        for name, seen in facts.items()
        if seen.spacing.known and len(seen.shape) == 2
    }
    finest, coarsest = min(sizes.values(), default=1.0), max(sizes.values(), default=1.0)
    if coarsest <= UNLIKE * finest:
        return ()
    names = tuple(name for name, size in sizes.items() if size > UNLIKE * finest)
    message = (
        f"different magnification: pixels of {finest:.4g} to {coarsest:.4g} µm; those of "
        f"{counted(len(names), 'case')} are the coarser: {listed(names)}. Train on images of one "
        "magnification, or bring them to one with --set 'data.spacing=[SIZE, SIZE]'"
    )
    return (Finding("warning", message, names),)
