"""Images and masks brought together by key; what has no partner is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from hilum.study.listing import Listing
from hilum.study.names import (
    DEFAULT_TARGET,
    counted,
    listed,
    split_word,
    stem,
    unique_names,
    without_image_suffix,
    without_mask_suffix,
)
from hilum.study.study import Case, Encoding, Finding, MaskSource, Source, Study

Key = tuple[str, ...]
Keyed = Mapping[Key, tuple[PurePosixPath, ...]]
UNKNOWN = Encoding("unknown")


def keyed(pairs: Iterable[tuple[Key, PurePosixPath]]) -> dict[Key, tuple[PurePosixPath, ...]]:
    """Files under their keys, in order."""
    result: dict[Key, tuple[PurePosixPath, ...]] = {}
    for key, path in pairs:
        result[key] = (*result.get(key, ()), path)
    return result


def named_apart(
    masks: Sequence[tuple[Key, PurePosixPath]], word: Callable[[PurePosixPath], str], images: Collection[Key]
) -> dict[str, Keyed]:
    """Masks without a target's name under targets: one, or one a word where an image has masks of several."""
    words: dict[Key, set[str]] = {}
    for key, path in masks:
        words.setdefault(key, set()).add(word(path))
    if not any(len(words[key]) > 1 for key in words if key in images):
        return {DEFAULT_TARGET: keyed(masks)}
    named = [(word(path) or DEFAULT_TARGET, key, path) for key, path in masks]
    targets = dict.fromkeys(name for name, key, _ in named if key in images)
    return {target: keyed((key, path) for name, key, path in named if name == target) for target in targets}


def partnered(
    pairs: Iterable[tuple[Key, PurePosixPath]], masks: Collection[Key]
) -> dict[Key, tuple[PurePosixPath, ...]]:
    """Images under their keys, X_image under that of X where masks are named so and no image is."""
    own = keyed(pairs)
    shorter = {key: (*key[:-1], without_image_suffix(key[-1])) for key in own if key not in masks}
    shorter = {key: short for key, short in shorter.items() if short not in own}
    if not any(short in masks for short in shorter.values()):
        return own
    return keyed((shorter.get(key, key), path) for key, paths in own.items() for path in paths)


def image_key(path: PurePosixPath, position: int) -> Key:
    """Path parts without the folder at `position` (the one that only says images) and without suffix."""
    folders = [part for index, part in enumerate(path.parts[:-1]) if index != position]
    return (*folders, stem(path))


def plain_stem(path: PurePosixPath, stems: Iterable[str]) -> str:
    """The stem of the image that a mask belongs to, given the stems of all images."""
    name = stem(path)
    shorter = without_mask_suffix(name)
    return shorter if shorter is not None and name not in stems else name


def split_of(path: PurePosixPath) -> str | None:
    """The split that a path lies in: the first folder named like one."""
    return next((word for part in path.parts[:-1] if (word := split_word(part))), None)


def paired_study(
    listing: Listing,
    layout: str,
    images: Keyed,
    masks: Mapping[str, Keyed],
) -> Study:
    """A study of the images that have at least one mask, with findings about everything else."""
    annotated = [key for key in images if _has_mask(key, masks)]
    bare = {key: paths[0] for key, paths in images.items() if not _has_mask(key, masks)}
    names = names_of(images)
    masks_of = {key: {target: of[key] for target, of in masks.items() if key in of} for key in annotated}
    cases = tuple(_case(listing, names[key], images[key][0], masks_of[key]) for key in annotated)
    findings = (
        *_twins(images),
        *_without_image(images, masks),
        *_without_mask(images, bare),
        *_united([names[key] for key in annotated], [masks_of[key] for key in annotated]),
        *_partly([names[key] for key in annotated], annotated, masks),
    )
    rest = unannotated(listing, {names[key]: path for key, path in bare.items()})
    return Study(listing.root, layout, cases, tuple(masks), (), False, "", findings, rest)


def names_of(keys: Iterable[Key]) -> dict[Key, str]:
    """Case names of all images of a study, annotated or not: a further mask gives no case another name."""
    distinct = list(dict.fromkeys(keys))
    return dict(zip(distinct, unique_names(distinct), strict=True))


def unannotated(listing: Listing, images: Mapping[str, PurePosixPath]) -> tuple[Case, ...]:
    """Images without any annotation, by their names, as cases to predict."""
    return tuple(Case(name, Source(listing.path(path))) for name, path in images.items())


def _has_mask(key: Key, masks: Mapping[str, Keyed]) -> bool:
    return any(key in of_target for of_target in masks.values())


def _case(
    listing: Listing, name: str, image: PurePosixPath, masks: Mapping[str, Sequence[PurePosixPath]]
) -> Case:
    sources = {
        target: MaskSource(tuple(Source(listing.path(path)) for path in paths), UNKNOWN)
        for target, paths in masks.items()
    }
    return Case(name, Source(listing.path(image)), masks=sources, split=split_of(image))


def _twins(images: Keyed) -> tuple[Finding, ...]:
    """Two images of one name, of which a mask cannot tell which is meant."""
    twins = [paths for paths in images.values() if len(paths) > 1]
    if not twins:
        return ()
    names = listed(path for paths in twins for path in paths)
    message = f"images that differ in their suffix alone ({names}): keep one of each, only the first is used"
    return (Finding("warning", message, tuple(stem(paths[0]) for paths in twins)),)


def _without_image(images: Keyed, masks: Mapping[str, Keyed]) -> tuple[Finding, ...]:
    elsewhere = {key[-1]: paths[0] for key, paths in images.items()}
    findings = []
    for target, of_target in masks.items():
        lonely = [path for key, paths in of_target.items() if key not in images for path in paths]
        if not lonely:
            continue
        number = counted(len(lonely), "mask") + f" of {target} without an image, left out: {listed(lonely)}"
        stray = [elsewhere[name] for path in lonely if (name := plain_stem(path, elsewhere)) in elsewhere]
        hint = f" (an image of that name lies elsewhere: {listed(stray)})" if stray else ""
        findings.append(Finding("warning", number + hint, tuple(stem(path) for path in lonely)))
    return tuple(findings)


def _without_mask(images: Keyed, bare: Mapping[Key, PurePosixPath]) -> tuple[Finding, ...]:
    """Images without any mask: a note where their whole split has none, else a warning."""
    splits = {split_of(paths[0]) for key, paths in images.items() if key not in bare}
    findings = []
    for severity in ("note", "warning"):
        chosen = [path for path in bare.values() if (split_of(path) in splits) == (severity == "warning")]
        if chosen:
            words = f"{counted(len(chosen), 'image')} without a mask, left out of training: {listed(chosen)}"
            findings.append(Finding(severity, words, tuple(stem(path) for path in chosen)))
    return tuple(findings)


def _united(
    names: Sequence[str], masks: Sequence[Mapping[str, Sequence[PurePosixPath]]]
) -> tuple[Finding, ...]:
    """A note of images with several mask files of one target, which are one together."""
    several = {
        name: next(paths for paths in of_case.values() if len(paths) > 1)
        for name, of_case in zip(names, masks, strict=True)
        if any(len(paths) > 1 for paths in of_case.values())
    }
    if not several:
        return ()
    words = (
        f"{counted(len(several), 'image')} with several mask files of one target, which are united "
        f"({listed(next(iter(several.values())), 3)})"
    )
    return (Finding("note", words, tuple(several)),)


def _partly(names: Sequence[str], keys: Sequence[Key], masks: Mapping[str, Keyed]) -> tuple[Finding, ...]:
    findings = []
    for target, of_target in masks.items():
        missing = tuple(name for name, key in zip(names, keys, strict=True) if key not in of_target)
        if missing:
            words = (
                f"{counted(len(missing), 'image')} without a mask of {target}, which counts as not annotated "
                f"there, not as empty: {listed(missing)}"
            )
            findings.append(Finding("warning", words, missing))
    return tuple(findings)
