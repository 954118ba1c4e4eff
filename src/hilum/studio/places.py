"""Where a mask belongs in a study's own layout, and how its file says "inside"."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hilum.errors import HilumError
from hilum.files import write_rows, write_text
from hilum.image.readers import probe
from hilum.image.writers import write_image
from hilum.studio.view import SLICES, View
from hilum.study.inputs import sources_of, with_data
from hilum.study.inside import luminance, open_mask
from hilum.study.layouts.columns import relative
from hilum.study.layouts.tables import NAME as TABLE
from hilum.study.layouts.tables import read_rows
from hilum.study.listing import Listing
from hilum.study.masks import read_case_image
from hilum.study.names import (
    DEFAULT_TARGET,
    is_image_word,
    is_mask_word,
    listed,
    stem,
    suffix,
    target_name,
    without_image_suffix,
)
from hilum.study.study import Case, Encoding, MaskSource, Source

LOSSLESS = (".png", ".tif", ".tiff", ".npy", ".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
THRESHOLD = Encoding("threshold", 127.0)


@dataclass(frozen=True)
class Place:
    """The file of a mask: `path` and `encoding`, `old` to take over from, `pattern` to learn its value of."""

    path: Path
    encoding: Encoding
    old: Path | None = None
    pattern: Source | None = None
    in_table: bool = False


def place_of(view: View, case: Case, target: str) -> Place:
    """Where the mask of a target of a case is, or would be. Raises HilumError where it cannot be painted."""
    if target in case.masks:
        return _own_place(case, target, case.masks[target])
    return _new_place(view, case, target)


def why_not(view: View, case: Case, target: str) -> str:
    """Why a mask cannot be painted; empty where it can be."""
    try:
        place_of(view, case, target)
    except HilumError as error:
        return str(error)
    return ""


def _own_place(case: Case, target: str, mask: MaskSource) -> Place:
    source = mask.sources[0]
    if len(mask.sources) > 1:
        raise HilumError(
            f"{target} of {case.name} comes from {len(mask.sources)} files (parts or readers), which are not "
            "painted over: bring them together in one file"
        )
    if source.entry is not None or source.index is not None:
        raise HilumError(f"{source}: lies in an archive, which is not painted over; unpack it into files")
    path = _lossless(source.path, case)
    if path != source.path and path.exists():
        raise HilumError(f"{path}: is there beside {source.path.name}; keep one of them")
    return Place(path, mask.encoding, source.path, source)


def _lossless(path: Path, case: Case) -> Path:
    """The path with a suffix that keeps every pixel."""
    if suffix(path) in LOSSLESS:
        return path
    return path.with_name(stem(path) + _suffix(case))


def _suffix(case: Case) -> str:
    """The suffix of masks of a flat image or of a volume."""
    header = probe(case.image.path, case.image.entry, case.image.index)
    return ".png" if len(header.shape) == 2 else ".nii.gz"


def inside_value(place: Place) -> float:
    """The value for inside that the other masks use, so that all are told from background alike."""
    encoding, source = place.encoding, place.pattern
    if encoding.kind != "threshold":
        return encoding.value
    if source is None:
        return 255.0
    values = luminance(open_mask(source, encoding))
    above = values[values > encoding.value]
    if above.size and suffix(source.path) in LOSSLESS:
        return float(above.max())
    return 255.0 if encoding.value >= 127 else max(1.0, 2 * encoding.value)


def _new_place(view: View, case: Case, target: str) -> Place:
    table = view.root / TABLE
    if table.is_file():
        path = view.root / "masks" / target / f"{case.name}{_suffix(case)}"
        return Place(path, THRESHOLD, in_table=True)
    pattern = next((one for one in view.cases if target in one.masks), None)
    if pattern is not None:
        return _as_in(view, pattern, case, pattern.masks[target], target)
    other = next((one for one in view.cases if one.masks), None)
    if other is not None:
        return _beside(other, case, target)
    return _first_place(view, case, target)


def _as_in(view: View, pattern: Case, case: Case, mask: MaskSource, target: str) -> Place:
    """As the mask of another case lies to its image, so this one to its own."""
    own = _own_place(pattern, target, mask)
    file = mask.sources[0].path
    name = _name_for(case, pattern, file) or stem(file)
    path = _lossless(_folder_for(pattern, case, file) / (name + suffix(file)), case)
    others = (source.path for one in view.cases if one.name != case.name for source in sources_of(one))
    if path == case.image.path or path in others:
        raise HilumError(
            f"{case.name}: where its mask belongs cannot be told from {file}; "
            "make one for it in the program that made the others"
        )
    return Place(path, own.encoding, pattern=own.pattern)


def _name_for(case: Case, pattern: Case, mask: Path) -> str | None:
    """The stem of a mask of `case`, as that of a mask is to the image of `pattern`; None if it tells nothing.

    Where images are called X_image, a mask is also named for X.
    """
    name, own, new = stem(mask), stem(pattern.image.path), stem(case.image.path)
    for one, other in ((own, new), (without_image_suffix(own), without_image_suffix(new))):
        if name.startswith(one):
            return other + name[len(one) :]
        if name.endswith(one):
            return name[: -len(one)] + other
        if one.startswith(name) and other.endswith(one[len(name) :]):
            return other[: len(other) - len(one) + len(name)]
    return None


def _folder_for(pattern: Case, case: Case, mask: Path) -> Path:
    """The folder that lies to the image of `case` as that of a mask does to the image of `pattern`.

    Folders inside that of the images, such as patients, are called alike inside that of the masks.
    """
    own, new = pattern.image.path.parent, case.image.path.parent
    steps = Path(os.path.relpath(mask.parent, own)).parts
    up = steps.count("..")
    called = dict(zip(own.parts[len(own.parts) - up :], new.parts[len(new.parts) - up :], strict=False))
    called |= {own.name.replace("images", "labels"): new.name.replace("images", "labels")}  # nnU-Net
    return Path(os.path.normpath(new.joinpath(*(called.get(step, step) for step in steps))))


def _beside(other: Case, case: Case, target: str) -> Place:
    """A new target beside one that is there: its own folder, or one inside the folder of masks."""
    known, mask = next(iter(other.masks.items()))
    path = mask.sources[0].path
    if mask.encoding.kind != "threshold":
        raise HilumError(
            f"this study keeps all its targets in one file ({path.name}); a further one needs its value "
            "there: draw it once in the program that made the masks"
        )
    if path.parent == other.image.path.parent:
        raise HilumError(
            f"the mask of {known} lies beside its image, where there is room for one target only; move the "
            "images into images/ and the masks into masks/NAME/"
        )
    folder = _folder_for(other, case, path)
    if not is_mask_word(folder.name) and known != DEFAULT_TARGET:
        folder = folder.parent
    name = _name_for(case, other, path) or stem(case.image.path)
    return Place(_lossless(folder / target / (name + suffix(path)), case), THRESHOLD)


def _first_place(view: View, case: Case, target: str) -> Place:
    """In a study without any annotation: masks/TARGET/ beside images/."""
    image = case.image.path
    if image.is_dir():
        raise LooseImagesError(
            f"{image.name}/ holds the slices of one scan: to be painted it is written into `images` as one "
            "file"
        )
    parts = image.relative_to(view.root).parts
    at = next((k for k, part in enumerate(parts[:-1]) if is_image_word(part)), None)
    if at is None:
        raise LooseImagesError(
            "masks need their images in a folder `images`: let the studio move them there, or move them"
        )
    folder = view.root.joinpath(*parts[:at], "masks", target, *parts[at + 1 : -1])
    return Place(folder / (stem(image) + _suffix(case)), THRESHOLD)


class LooseImagesError(HilumError):
    """Images lie loose in a folder, and no layout has a place for their masks."""


def gather_images(view: View) -> int:
    """Move the images that lie loose in a folder without annotations into `images/`; how many there were.

    DICOM slices of a scan are written there as one file, which a mask can lie beside, and kept in
    .studio/originals. Raises HilumError, before anything is moved, where one of that name is there already.
    """
    if any(case.masks or case.labels for case in view.cases):
        raise HilumError(f"{view.root}: has annotations already, so its images stay where they are")
    loose = [case for case in view.cases if not _among_images(view, case)]
    scans = [case for case in loose if case.image.path.is_dir()]
    files = [case.image.path for case in loose if not case.image.path.is_dir()]
    moves = {part: _home(view) / part.relative_to(view.root) for path in files for part in with_data(path)}
    _refuse_taken([*moves.values(), *(path for case in scans for path in _homes_of_scan(view, case))])
    for case in scans:
        _write_scan(view, case)
    for part, new in moves.items():
        new.parent.mkdir(parents=True, exist_ok=True)
        part.rename(new)
    return len(loose)


def _among_images(view: View, case: Case) -> bool:
    return any(map(is_image_word, case.image.path.relative_to(view.root).parts[:-1]))


def _home(view: View) -> Path:
    return view.root / "images"


def _refuse_taken(paths: Sequence[Path]) -> None:
    """Raise HilumError where a file is there that would be replaced, or two would go to one place."""
    taken = [path for path, count in Counter(paths).items() if count > 1 or path.exists()]
    if taken:
        raise HilumError(
            f"{taken[0].parent}: {listed(path.name for path in taken)} would be replaced; "
            "nothing is moved: rename one of those that are called alike"
        )


def _homes_of_scan(view: View, case: Case) -> tuple[Path, Path]:
    """Where a scan is written to as one file, and where its slices are kept."""
    return _home(view) / f"{case.name}.nii.gz", view.root / ".studio" / "originals" / case.name


def _write_scan(view: View, case: Case) -> None:
    """A scan as one file; beside its slices they would look like two classes of images."""
    folder, (new, kept) = case.image.path, _homes_of_scan(view, case)
    write_image(new, read_case_image(case))
    kept.parent.mkdir(parents=True, exist_ok=True)
    if folder != view.root:
        folder.rename(kept)
        return
    kept.mkdir()
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SLICES:
            path.rename(kept / path.name)


def keep_table(root: Path) -> None:
    """Keep a copy of study.csv as it was before the studio first wrote into it."""
    kept = root / ".studio" / "originals" / TABLE
    if (root / TABLE).is_file() and not kept.exists():
        write_text(kept, (root / TABLE).read_text(encoding="utf-8-sig"))


def enter_in_table(view: View, case: Case, column: str, cell: str) -> None:
    """Put a mask's path or a label into study.csv, in an image's row; both are made if missing."""
    path = view.root / TABLE
    rows = _rows(path)
    name = PurePosixPath(case.image.path.relative_to(view.root).as_posix())
    columns = list(rows[0]) if rows else ["image"]
    columns += [column] if column not in columns else []
    row = next((row for row in rows if relative(row["image"]) == name), None)
    if row is None:
        row = {"image": str(name)}
        rows.append(row)
    row[column] = cell
    write_rows(path, rows, columns)


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of study.csv; none where it is not there or holds no more than its head."""
    if not path.is_file() or "\n" not in path.read_text(encoding="utf-8-sig").strip():
        return []
    return read_rows(Listing(path.parent, ()), PurePosixPath(path.name))


def plain_target(name: str) -> str:
    """A name that a person typed as one that can be a folder's. Raises HilumError where it cannot be.

    >>> plain_target(" Nerve 1 ")
    'Nerve 1'
    """
    text = name.strip()
    good = all(letter.isalnum() or letter in " _-" for letter in text)
    if not text or not good or len(text) > 60 or target_name(text) != text or is_image_word(text):
        raise HilumError(
            f"{text[:60]!r} cannot name a target: use letters, digits, spaces, _ and -, and no word like mask"
        )
    return text
