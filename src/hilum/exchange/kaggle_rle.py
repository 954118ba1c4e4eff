"""Submissions of Kaggle's ultrasound nerve challenge: written, read (other people's too) and scored."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError, PlanError
from hilum.files import read_text, write_rows
from hilum.image.readers import probe
from hilum.image.runlength import decode, encode
from hilum.planning.plan import Plan
from hilum.scoring.overlap import overlap
from hilum.study.names import image_name, listed, natural
from hilum.study.study import Case

FILE = "submission.csv"
SHAPE = (420, 580)
LIMIT_BYTES = 2_000_000_000
_NAMED = 5
_IMAGE_WORDS = ("img", "image", "id", "image_id", "imageid")
_PIXEL_WORDS = ("pixels", "rle", "rle_mask", "encodedpixels", "rle_encoded")
_NOTHING = ("", "nan", "none", "null")


@dataclass
class KaggleRle:
    """A submission in the making: the run lengths of each image by its name."""

    rows: dict[str, str] = field(default_factory=dict)

    def check(self, cases: Sequence[Case]) -> None:
        """Raise HilumError that lists images of one name, or volumes, which have no place here."""
        _check_unique(cases)
        volumes = [str(case.image) for case in cases if _is_volume(case)]
        if volumes:
            raise HilumError(
                f"--submission kaggle-rle: {len(volumes)} of the images are volumes "
                f"({listed(volumes, _NAMED)}); it holds masks of flat images: "
                "leave them out, or predict without --submission"
            )

    def add(self, case: Case, decided: Mapping[str, NDArray[np.bool_]]) -> None:
        """Take in the one mask (Y, X) of a case. Raises HilumError for two images of one name."""
        name = image_name(case.image.path)
        if name in self.rows:
            raise HilumError(
                f"{case.image}: a submission names images by their number, and {name!r} is there twice"
            )
        (mask,) = decided.values()
        self.rows[name] = encode(mask)

    def write(self, folder: Path) -> Path:
        """Write submission.csv; its path."""
        return write_submission(folder / FILE, self.rows)


def _check_unique(cases: Sequence[Case]) -> None:
    """Raise HilumError for images that a submission would name alike."""
    named: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        named[image_name(case.image.path)].append(str(case.image))
    twice = [f"{name}: {listed(images, _NAMED)}" for name, images in named.items() if len(images) > 1]
    if twice:
        raise HilumError(
            f"--submission kaggle-rle: names images by their file's name, and {len(twice)} of these names "
            f"are there more than once ({listed(twice, _NAMED)}); rename the files, or predict their folders "
            "one by one"
        )


def _is_volume(case: Case) -> bool:
    """Whether the header says so; reading a damaged image says what is wrong with it."""
    try:
        return len(probe(case.image.path, case.image.entry, case.image.index).shape) > 2
    except ImageError:
        return False


def start(plan: Plan) -> KaggleRle:
    """A new submission. Raises PlanError where the run has not one target of flat images."""
    if plan.task != "segment" or plan.data.dims != 2 or len(plan.data.outputs) != 1:
        raise PlanError(
            f"--submission kaggle-rle: holds one mask an image, this run is a {plan.task} run of "
            f"{', '.join(plan.data.outputs)}; train on one target (--set data.outputs=[NAME])"
        )
    return KaggleRle()


def write_submission(path: Path, rows: Mapping[str, str]) -> Path:
    """Write `img,pixels`: run lengths by image name, in numeric order, nothing for an empty mask."""
    lines = ({"img": name, "pixels": rows[name]} for name in sorted(rows, key=natural))
    write_rows(path, lines, ("img", "pixels"))
    return path


def read_submission(path: str | Path) -> dict[str, str]:
    """Run lengths by image name, from anybody's file: quotes, spaces, a byte order mark, other headers.

    Raises HilumError where the file cannot be read, has no two columns, or names an image twice.
    """
    path = Path(path)
    lines = csv.reader(io.StringIO(read_text(path, LIMIT_BYTES, HilumError, "submission"), newline=""))
    limit = csv.field_size_limit(LIMIT_BYTES)
    try:
        rows = [[cell.strip() for cell in row] for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise HilumError(f"{path}: cannot be read as CSV ({error})") from error
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise HilumError(f"{path}: is empty; a submission has the header img,pixels and a row for each image")
    image, pixels, head = _columns(path, rows[0])
    found: dict[str, str] = {}
    for row in rows[head:]:
        name = _name(row[image]) if image < len(row) else ""
        if not name or name in found:
            wrong = "an image twice" if name else "no image"
            raise HilumError(f"{path}: row {','.join(row)[:60]!r} names {wrong}")
        text = row[pixels] if pixels < len(row) else ""
        found[name] = "" if text.lower() in _NOTHING else text
    return found


def _columns(path: Path, first: list[str]) -> tuple[int, int, int]:
    """Column of the image and of the pixels, and how many header rows there are."""
    words = [cell.lower() for cell in first]
    image = next((at for at, word in enumerate(words) if word in _IMAGE_WORDS), None)
    pixels = next((at for at, word in enumerate(words) if word in _PIXEL_WORDS), None)
    if image is not None and pixels is not None:
        return image, pixels, 1
    numbers = all(part.isdigit() for cell in first for part in cell.split())
    if len(first) == 2 and numbers:
        return 0, 1, 0
    raise HilumError(f"{path}: header {','.join(first)[:60]!r}; a submission has the columns img,pixels")


def _name(cell: str) -> str:
    """An image's name without folder and ending: `test/7.tif` is 7."""
    return image_name(PurePath(cell.replace("\\", "/").rsplit("/", 1)[-1]))


def masks_of(path: str | Path, shape: tuple[int, int] = SHAPE) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Each image's name with its mask (Y, X). Raises HilumError for run lengths that do not fit."""
    for name, text in read_submission(path).items():
        yield name, _mask(Path(path), name, text, shape)


@dataclass(frozen=True)
class Score:
    """What a submission is worth: mean Dice over all images of the solution, 1 where both are empty.

    `dice` holds each image's own; `present` is the mean over images with the target, `absent` the share of
    the images without it that were left empty.
    """

    mean: float
    present: float
    absent: float
    dice: Mapping[str, float]


def score_submission(submission: str | Path, solution: str | Path, shape: tuple[int, int] = SHAPE) -> Score:
    """Score a submission against a solution in the same form, as the challenge does.

    `shape` is (Y, X) of the images. Raises HilumError where an image is missing or unknown, or where run
    lengths do not fit the shape.
    """
    given, truth = read_submission(submission), read_submission(solution)
    _check_names(Path(submission), given, truth)
    dice, present = {}, {}
    for name, text in truth.items():
        wanted = _mask(Path(solution), name, text, shape)
        dice[name] = overlap(_mask(Path(submission), name, given[name], shape), wanted).challenge_dice
        present[name] = bool(wanted.any())
    return Score(
        float(np.mean(list(dice.values()))),
        _mean([dice[name] for name in dice if present[name]]),
        _mean([dice[name] for name in dice if not present[name]]),
        dice,
    )


def _check_names(path: Path, given: Mapping[str, str], truth: Mapping[str, str]) -> None:
    missing, unknown = [n for n in truth if n not in given], [n for n in given if n not in truth]
    if missing or unknown or not truth:
        parts = [f"{len(missing)} images missing ({', '.join(missing[:5])})"] * bool(missing)
        parts += [f"{len(unknown)} not in the solution ({', '.join(unknown[:5])})"] * bool(unknown)
        found = " and ".join(parts) or "the solution names no image"
        raise HilumError(f"{path}: {found}; predict exactly the solution's images")


def _mask(path: Path, name: str, text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        return decode(text, shape)
    except ImageError as error:
        raise HilumError(f"{path}: image {name}: {error}") from error


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
