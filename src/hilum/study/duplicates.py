"""Images that occur twice, byte for byte or nearly, and near-identical images with contradicting masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hilum.image.pyramid import is_field
from hilum.study.names import DETACHED, counted, listed, suffix
from hilum.study.study import Case, Finding, Study
from hilum.study.survey import Facts

# Measured on 64 px thumbnails less their blur: images of different patients reach 0.38 (ultrasound),
# 0.57 (CT), 0.82 (chest X-rays); copies after JPEG, resizing or a change of contrast stay above 0.95.
NEAR = 0.95
CONTRADICTION_DICE = 0.5
# Masks that differ in less of the image than this are the edge of a structure between neighbouring slices.
CONTRADICTION_SHARE = 0.005
_SCREEN = 0.85
_BLUR = 4.0
_CHUNK = 1024
_LIMIT_CASES = 20_000


@dataclass(frozen=True, order=True)
class Pair:
    """Two cases with near-equal images: correlation 0 to 1 (1 and `equal` for the same bytes)."""

    first: str
    second: str
    correlation: float
    equal: bool = False


def find_duplicates(study: Study, facts: Mapping[str, Facts], near: float = NEAR) -> tuple[Pair, ...]:
    """All pairs of cases whose images are byte-equal or near-equal, in the order of the cases.

    Near-equal is a normalised correlation of at least `near` between high-passed grey thumbnails, which
    recompression, resizing and a linear change of intensity leave high. Above 20,000 cases only
    byte-equal files are found.
    """
    order = {case.name: index for index, case in enumerate(study.cases)}
    seen = [case for case in study.cases if case.name in facts]
    equal = {(order[a], order[b]) for a, b in _byte_equal(seen)}
    pairs = {key: Pair(study.cases[key[0]].name, study.cases[key[1]].name, 1.0, True) for key in equal}
    names = [case.name for case in seen]
    if len(names) <= _LIMIT_CASES:
        features = _features([facts[name].thumbnail for name in names])
        for a, b, value in _near_pairs(features, near):
            key = (order[names[a]], order[names[b]])
            pairs.setdefault(key, Pair(names[a], names[b], value))
    return tuple(pairs[key] for key in sorted(pairs))


def _byte_equal(cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Pairs of files with the same bytes; only files of equal size are read."""
    by_size: dict[int, list[Case]] = {}
    for case in cases:
        # Headers with a data file beside them may be alike where the data is not.
        if suffix(case.image.path) in DETACHED:
            continue
        if case.image.index is None and not is_field(case.image.entry) and (size := _size(case.image.path)):
            by_size.setdefault(size, []).append(case)
    for same in by_size.values():
        if len(same) < 2:
            continue
        first: dict[str, Case] = {}
        for case in same:
            digest = _digest(case.image.path)
            if digest and digest in first:
                yield first[digest].name, case.name
            first.setdefault(digest, case)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return ""


def _features(thumbnails: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Thumbnails (N, S, S) less their blur, flattened to mean 0 and length 1 (0 where flat)."""
    if not thumbnails:
        return np.zeros((0, 1), np.float32)
    return np.concatenate([_sharp(thumbnails[at : at + _CHUNK]) for at in range(0, len(thumbnails), _CHUNK)])


def _sharp(thumbnails: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    stack = np.nan_to_num(np.stack(thumbnails).astype(np.float32), posinf=0, neginf=0)
    sharp = stack - gaussian_filter(stack, sigma=(0, _BLUR, _BLUR))
    return _unit(sharp.reshape(len(sharp), -1))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-3, rows / np.maximum(length, 1e-3), 0).astype(np.float32)


def _near_pairs(features: NDArray[np.float32], near: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows with a correlation of at least `near`, screened at half the raster first."""
    if len(features) < 2:
        return
    side = int(np.sqrt(features.shape[1]))
    halves = features.reshape(-1, side // 2, 2, side // 2, 2).mean(axis=(2, 4)).reshape(len(features), -1)
    coarse = _unit(halves)
    for start in range(0, len(coarse), _CHUNK):
        block = coarse[start : start + _CHUNK] @ coarse[start:].T
        rows, columns = np.nonzero(np.triu(block >= min(_SCREEN, near), k=1))
        if not len(rows):
            continue
        exact = np.einsum("ij,ij->i", features[start + rows], features[start + columns])
        for row, column, value in zip(
            rows[exact >= near], columns[exact >= near], exact[exact >= near], strict=True
        ):
            yield start + int(row), start + int(column), min(1.0, float(value))


def together(pairs: Sequence[Pair]) -> tuple[tuple[str, str], ...]:
    """Duplicates as `make_folds` takes them, to keep both of a pair on one side."""
    return tuple((pair.first, pair.second) for pair in pairs)


def duplicate_findings(study: Study, pairs: Sequence[Pair]) -> tuple[Finding, ...]:
    """Findings about duplicates: across given splits, across groups, and with other labels."""
    cases = study.by_name
    labelled = [pair for pair in pairs if _labels_differ(cases[pair.first], cases[pair.second])]
    splits = [pair for pair in pairs if _differs(cases, pair, "split")]
    groups = [pair for pair in pairs if _differs(cases, pair, "group") and pair not in splits]
    texts = (
        (labelled, "have different labels"),
        (splits, "lie on both sides of the given splits"),
        (groups, "lie in different groups; they are kept on one side of every fold"),
    )
    return tuple(_finding(found, words) for found, words in texts if found)


def _differs(cases: Mapping[str, Case], pair: Pair, field: str) -> bool:
    return bool(getattr(cases[pair.first], field) != getattr(cases[pair.second], field))


def _finding(pairs: Sequence[Pair], words: str) -> Finding:
    equal = sum(pair.equal for pair in pairs)
    kinds = [f"{equal} byte-equal"] * bool(equal) + [f"{len(pairs) - equal} near-equal"] * (
        equal < len(pairs)
    )
    names = listed(f"{pair.first} = {pair.second}" for pair in pairs)
    message = f"{counted(len(pairs), 'pair')} of images ({' and '.join(kinds)}) {words}: {names}"
    return Finding("warning", message, tuple(dict.fromkeys(name for pair in pairs for name in _both(pair))))


def _both(pair: Pair) -> tuple[str, str]:
    return pair.first, pair.second


def _labels_differ(first: Case, second: Case) -> bool:
    return any(
        value != second.labels[name]
        for name, value in first.labels.items()
        if name in second.labels and value == value and second.labels[name] == second.labels[name]
    )


@dataclass(frozen=True)
class Contradiction:
    """A pair of near-identical images whose masks of a target disagree (Dice 0 to 1)."""

    pair: Pair
    target: str
    dice: float


def find_contradictions(
    pairs: Sequence[Pair], facts: Mapping[str, Facts], limit_dice: float = CONTRADICTION_DICE
) -> tuple[Contradiction, ...]:
    """Near-identical images whose masks contradict each other, the worst first.

    That is a Dice below `limit_dice` and a difference of at least half a percent of the image, both taken
    between mask thumbnails of shares; two empty masks agree.
    """
    found = []
    for pair in pairs:
        first, second = facts.get(pair.first), facts.get(pair.second)
        if first is None or second is None:
            continue
        for target in first.mask_thumbnails.keys() & second.mask_thumbnails.keys():
            dice, share = _compare(first.mask_thumbnails[target], second.mask_thumbnails[target])
            if dice < limit_dice and share >= CONTRADICTION_SHARE:
                found.append(Contradiction(pair, target, dice))
    return tuple(sorted(found, key=lambda item: (item.dice, item.pair.first, item.pair.second)))


def _compare(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, float]:
    """Dice of two masks, and the share of the image in which they differ."""
    total = float(first.sum() + second.sum())
    both = float(np.minimum(first, second).sum())
    return (2 * both / total if total else 1.0), (total - 2 * both) / first.size


def contradiction_findings(found: Sequence[Contradiction]) -> tuple[Finding, ...]:
    """One warning that lists the contradicting pairs, the worst first."""
    if not found:
        return ()
    names = listed(
        (f"{item.pair.first} and {item.pair.second} ({item.target}, Dice {item.dice:.2f})" for item in found),
        8,
    )
    message = f"{counted(len(found), 'pair')} of near-identical images with contradicting masks: {names}"
    return (
        Finding(
            "warning", message, tuple(dict.fromkeys(name for item in found for name in _both(item.pair)))
        ),
    )
