"""File and folder names: stems, suffixes, splits, scales and what masks are called."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from hilum.image.readers import readable

_ARCHIVES = frozenset({".npz", ".zip"})
DETACHED = frozenset({".mhd", ".nhdr"})
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "pred": "predict",
    "predict": "predict",
    "prediction": "predict",
}
IMAGE_WORDS = frozenset(
    [
        "original",
        "originals",
        "orig",
        "image",
        "images",
        "img",
        "imgs",
        "raw",
        "input",
        "inputs",
        "photo",
        "photos",
        "picture",
        "pictures",
        "frame",
        "frames",
        "scan",
        "scans",
        "slice",
        "slices",
    ]
)
MASK_WORDS = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "annotation",
        "annotations",
        "seg",
        "segs",
        "segmentation",
        "segmentations",
        "gt",
        "groundtruth",
        "ground_truth",
        "truth",
        "target",
        "targets",
        "manual",
    ]
)
DEFAULT_TARGET = "target"
_LONGEST = 200
_DOUBLE = (".nii.gz", ".ome.tif", ".ome.tiff", ".tar.gz")
_SCALE = re.compile(r"_\d*\.\d+$")
_MASK_SUFFIX = re.compile(
    r"[ _\-.](HC_Annotation|ground_?truth|segmentation|annotation|masks?|labels?|seg|gt|manual)"
    r"(?:[_\-]?\d+)?$",
    re.IGNORECASE,
)
_IMAGE_SUFFIX = re.compile(r"[ _\-.](?:image|img|raw)$", re.IGNORECASE)


def suffix(path: PurePath | str) -> str:
    """Lower-case suffix, the double ones whole.

    >>> suffix("A.NII.GZ"), suffix("slide.v2.PNG")
    ('.nii.gz', '.png')
    """
    name = PurePath(path).name.lower()
    double = next((end for end in _DOUBLE if name.endswith(end) and len(name) > len(end)), None)
    return double or PurePath(name).suffix


def stem(path: PurePath | str) -> str:
    """File name without its suffix, double or single.

    >>> stem("scans/A_1.nii.gz")
    'A_1'
    """
    name = PurePath(path).name
    return name[: len(name) - len(suffix(path))]


def image_name(path: PurePath) -> str:
    """An image's name by its file's: without the ending of an image, but with any other, as UIDs have.

    >>> image_name(PurePath("test/7.tif")), image_name(PurePath("s.1")), image_name(PurePath("2.25.71"))
    ('7', 's.1', '2.25.71')
    """
    return stem(path) if readable(path.name) or suffix(path) == ".zarr" else path.name


def is_image(path: PurePath) -> bool:
    """Whether the suffix is one of an image or a volume; archives of several are not."""
    return readable(Path(path)) and suffix(path) not in _ARCHIVES


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which 2 comes before 10.

    >>> sorted(["10_a", "2_b"], key=natural)
    ['2_b', '10_a']
    """
    parts = re.split(r"([0-9]{1,18})", text)
    return tuple(
        (0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts) if part
    )


def split_word(folder: str) -> str | None:
    """The split that a folder name stands for: train, val, test or predict."""
    return SPLIT_WORDS.get(folder.lower())


def without_scale(folder: str) -> str:
    """Folder name without a scale suffix.

    >>> without_scale("Original_0.2")
    'Original'
    """
    return _SCALE.sub("", folder)


def is_image_word(folder: str) -> bool:
    """Whether a folder name says that images are in it."""
    return without_scale(folder).lower() in IMAGE_WORDS


def is_mask_word(folder: str) -> bool:
    """Whether a folder name says that masks are in it, without saying of what."""
    return without_scale(folder).lower() in MASK_WORDS


def without_mask_suffix(name: str) -> str | None:
    """The image's stem where a mask's stem ends as masks do, else None.

    >>> without_mask_suffix("1_45_mask"), without_mask_suffix("003_HC_Annotation")
    ('1_45', '003')
    """
    match = _MASK_SUFFIX.search(name)
    return name[: match.start()] if match and match.start() else None


def mask_suffix(name: str) -> str:
    """The word in small letters by which a mask's stem ends as masks do, without its number; else "".

    >>> mask_suffix("1_45_mask_2"), mask_suffix("1_45")
    ('mask', '')
    """
    match = _MASK_SUFFIX.search(name)
    return match[1].lower() if match and match.start() else ""


def without_image_suffix(name: str) -> str:
    """An image's stem without a word that says only that it is an image.

    >>> without_image_suffix("7_image"), without_image_suffix("7")
    ('7', '7')
    """
    match = _IMAGE_SUFFIX.search(name)
    return name[: match.start()] if match and match.start() else name


def target_name(folder: str) -> str:
    """A target's name from its folder: the name itself unless it only says that masks are in it.

    >>> target_name("Parenchyma_0.2"), target_name("nerve_masks"), target_name("labels")
    ('Parenchyma', 'nerve', 'target')
    """
    plain = without_scale(folder)
    return DEFAULT_TARGET if is_mask_word(plain) else without_mask_suffix(plain) or plain


def printable(text: str) -> str:
    r"""The text without control characters, so that it can be printed and be a file name.

    >>> printable("a\nb")
    'a_b'
    """
    return "".join("_" if unicodedata.category(letter) in ("Cc", "Cf", "Cs") else letter for letter in text)


def unique_names(keys: Sequence[tuple[str, ...]], taken: Iterable[str] = ()) -> list[str]:
    """Case names from path parts: as few trailing ones as tell all apart, and from `taken`, with slashes.

    >>> unique_names([("train", "a", "1"), ("train", "b", "1")])
    ['a/1', 'b/1']
    """
    clean = [tuple(_safe_part(part) for part in key) for key in keys]
    gone = set(taken)
    longest = max((len(key) for key in clean), default=1)
    names = ["/".join(key) for key in clean]
    for depth in range(1, longest + 1):
        tails = ["/".join(key[-depth:]) for key in clean]
        if len(set(tails)) == len(tails) and gone.isdisjoint(tails):
            return tails
    return _numbered(names, gone)


def _safe_part(part: str) -> str:
    """A part of a name that can be a file's name everywhere: visible, printable, of at most 200 bytes."""
    text = printable(part).replace("/", "_")
    text = f"_{text[1:]}" if text.startswith(".") else text or "_"
    if len(text.encode()) <= _LONGEST:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{text.encode()[: _LONGEST - 9].decode(errors='ignore')}~{digest}"


def _numbered(names: Sequence[str], gone: Iterable[str] = ()) -> list[str]:
    taken = set(gone)
    result = []
    for name in names:
        unique, count = name, 2
        while unique in taken:
            unique, count = f"{name} ({count})", count + 1
        taken.add(unique)
        result.append(unique)
    return result


def common_folder(paths: Iterable[Path]) -> Path:
    """The deepest folder that holds all files; that of the first where they lie on several drives.

    >>> common_folder([Path("/a/b/1.png"), Path("/a/c/d/2.png")]).as_posix()
    '/a'
    """
    folders = [path.absolute().parent for path in paths]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # drives of Windows have no folder in common
        return folders[0]


def listed(names: Iterable[object], limit: int = 6) -> str:
    """Names in a row for a message, the rest counted.

    >>> listed("abcd", limit=2)
    'a, b and 2 more'
    """
    every = [printable(str(name)) for name in names]
    shown = ", ".join(every[:limit])
    return shown if len(every) <= limit else f"{shown} and {len(every) - limit} more"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "case"), counted(3, "case")
    ('1 case', '3 cases')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
