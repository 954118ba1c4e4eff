"""Flat images of different magnification side by side, told by their spacings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from hilum.errors import HilumError
from hilum.image.readers import probe
from hilum.image.spacing import Spacing
from hilum.study.masks import fitted_spacing
from hilum.study.names import counted, listed
from hilum.study.study import Case, Finding
from hilum.study.survey import Facts

# What is so much larger in one image than in another looks like another thing.
UNLIKE = 1.25
_WORKERS = 4


def micrometres(spacing: Spacing) -> float | None:
    """The size of a pixel along x in µm, None where it is not known.

    >>> micrometres(Spacing((0.5, 0.5), "mm")), micrometres(Spacing((1.0, 1.0)))
    (500.0, None)
    """
    return spacing.sizes[-1] * (1e3 if spacing.unit == "mm" else 1.0) if spacing.known else None


def magnification_findings(facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning of flat images whose known spacings are more than a quarter apart, naming the coarser ones.

    Volumes vary with every patient; of them nothing is said.
    """
    flat = ((name, micrometres(seen.spacing)) for name, seen in facts.items() if len(seen.shape) == 2)
    sizes = {name: size for name, size in flat if size}
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


def told_unlike(cases: Sequence[Case], pixel_um: Sequence[float]) -> str:
    """What flat images have pixels known to be a quarter beyond those from smallest to largest, or ""."""
    smallest, largest = pixel_um
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = zip(cases, pool.map(_pixel_um, cases), strict=True)
        sizes = {case.name: size for case, size in found if size}
    names = [name for name, size in sizes.items() if not smallest / UNLIKE <= size <= largest * UNLIKE]
    if not names:
        return ""
    trained = f"{smallest:.4g}" if smallest == largest else f"{smallest:.4g} to {largest:.4g}"
    return (
        f"{counted(len(names), 'image')} of another magnification than those trained on ({trained} µm a "
        f"pixel), such as {names[0]} ({sizes[names[0]]:.4g} µm): the network sees things larger or smaller "
        "there than it learnt them. Predict images of the same magnification, or train with --set "
        "'data.spacing=[SIZE, SIZE]', which brings all to one"
    )


def _pixel_um(case: Case) -> float | None:
    if case.image.path.suffix.lower() == ".npz":
        return None
    try:
        header = probe(case.image.path, case.image.entry, case.image.index)
    except HilumError:  # told of where the image is read
        return None
    flat = len(header.shape) == 2
    return micrometres(fitted_spacing(case, 2) or header.spacing) if flat else None
