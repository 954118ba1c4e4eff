"""Huge images for `hilum predict`: block by block, kept on disk so that an interrupted one goes on."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hilum.errors import ImageError, RunError
from hilum.files import read_json, write_json
from hilum.image.image import Image
from hilum.image.pyramid import is_huge, open_pyramid
from hilum.image.thumbnail import shrunken
from hilum.inference.blocks import grid_of, predict_blocks
from hilum.inference.cells import forget_cells, open_cells
from hilum.inference.predictor import Predictor
from hilum.study.masks import fitted_spacing
from hilum.study.study import Case
from hilum.tasks.huge_masks import small_image
from hilum.tasks.task import PredictedBlocks
from hilum.training.lock import sweep
from hilum.training.prepare import working_shape
from hilum.training.run import Run, check_new
from hilum.training.windows import working_image

logger = logging.getLogger(__name__)
KEPT = ".blocks"
BEGUN_BY = ".run.json"  # hidden, as no case is, so that an image may be named "run"
SHRUNK_PIXELS = 16_000_000


def huge(case: Case) -> bool:
    """Whether a case is to be worked on window by window."""
    source = case.image
    return source.entry is None and source.index is None and not case.channels and is_huge(source.path)


@dataclass(frozen=True)
class Blocks:
    """What huge images need besides a predictor."""

    run: Run
    out: Path
    skip_glass: bool = True

    @property
    def mark(self) -> Path:
        """The file that says which run began a prediction."""
        return self.out / KEPT / BEGUN_BY

    @cached_property
    def weights(self) -> str:
        """A digest of the networks of the run."""
        found = hashlib.blake2b(digest_size=16)
        for index in self.run.trained_folds():
            found.update((self.run.fold(index) / "model.safetensors").read_bytes())
        return found.hexdigest()


def predict_huge(case: Case, predictor: Predictor, blocks: Blocks) -> PredictedBlocks:
    """Predict the blocks of a huge image that are not done yet; they are kept in a hidden folder.

    Raises RunError where they are there, but of another run or image; ImageError for an unreadable image.
    """
    with open_pyramid(case.image.path) as pyramid:
        spacing = fitted_spacing(case, 2) or pyramid.spacing
        pyramid = replace(pyramid, spacing=spacing)
        image = working_image(pyramid, predictor.plan.data, skip_glass=blocks.skip_glass)
        grid = grid_of(image.shape, predictor.plan)
        made_from = _made_from(case, predictor, blocks)
        cells = open_cells(blocks.out / KEPT / case.name, grid, len(predictor.plan.data.outputs), made_from)
        found = predict_blocks(predictor, image, cells)
        logger.info(
            "%s: %d x %d pixels, %d of %d blocks hold tissue, %.0f s",
            case.name,
            *pyramid.shape,
            found.with_tissue,
            found.cells,
            found.seconds,
        )
        return PredictedBlocks(case, pyramid.shape, spacing, cells)


def small_enough(case: Case, predictor: Predictor) -> Image:
    """A huge image shrunk to the size that the plan works at, for tasks that look at whole images.

    Raises ImageError where even that is too large.
    """
    with open_pyramid(case.image.path) as pyramid:
        spacing = fitted_spacing(case, 2) or pyramid.spacing
        height, width = working_shape(pyramid.shape, predictor.plan.data, spacing)
        if height * width > SHRUNK_PIXELS:
            raise ImageError(
                f"{case.image}: is {pyramid.shape[0]} x {pyramid.shape[1]} pixels; a {predictor.plan.task} "
                "run looks at whole images, so cut it into fields"
            )
        if predictor.plan.data.size is None:
            return small_image(pyramid, SHRUNK_PIXELS)
        factor = min(pyramid.shape[0] / height, pyramid.shape[1] / width)
        array = shrunken(pyramid, (height, width), pyramid.level_for(max(1.0, factor / 2)))
        return Image(array, path=case.image.path)


def check_out(blocks: Blocks, resume: bool) -> None:
    """Raise RunError where `out` is not empty; with `resume` it may hold an interrupted one of the run."""
    out = blocks.out
    begun = (out / KEPT).is_dir()
    if begun and not resume:
        raise RunError(
            f"--out {out}: holds an interrupted prediction; add --resume to go on with it, or name a new one"
        )
    if not begun:
        check_new(out)
        return
    by = read_json(blocks.mark) if blocks.mark.is_file() else {}
    if isinstance(by, dict) and by.get("weights", blocks.weights) != blocks.weights:
        raise RunError(
            f"--out {out}: holds an interrupted prediction by another run, {by.get('run')}; go on with that "
            "one, or name a new folder"
        )
    sweep(out)


@contextlib.contextmanager
def begun(blocks: Blocks) -> Iterator[None]:
    """Mark `out` as a prediction that --resume may go on with, however this process ends.

    The mark goes with it where nothing was written. Raises HilumError where the disk refuses.
    """
    kept, out = blocks.out / KEPT, blocks.out
    made = [folder for folder in (kept, out) if not folder.exists()]
    write_json(blocks.mark, {"weights": blocks.weights, "run": str(blocks.run.folder.resolve())})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            nothing = [*out.iterdir()] == [kept] and [*kept.iterdir()] == [blocks.mark]
            if made and nothing:
                blocks.mark.unlink()
                for folder in made:
                    folder.rmdir()


def forget(out: Path) -> None:
    """Remove what was kept to go on with."""
    forget_cells(out / KEPT)


def _made_from(case: Case, predictor: Predictor, blocks: Blocks) -> dict[str, Any]:
    """What a prediction depends on, as plain JSON."""
    path = case.image.path
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())[:1000]
    states = [each.stat() for each in files]
    plan = predictor.plan
    return {
        "version": 1,
        "image": str(path.resolve()),
        "bytes": sum(state.st_size for state in states),
        "changed": max((state.st_mtime_ns for state in states), default=0),
        "spacing": str(case.spacing),
        "weights": blocks.weights,
        "skip_glass": blocks.skip_glass,
        "data": plan.data.model_dump(mode="json"),
        "inference": plan.inference.model_dump(mode="json"),
        "precision": plan.training.precision,
    }
