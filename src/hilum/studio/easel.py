"""Masks that are being painted: opened with what the journal holds, changed by strokes, saved soon after."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.studio import journal
from hilum.studio.mask_files import keep_changed, save_mask
from hilum.studio.places import Place, place_of
from hilum.studio.view import View, case_of, image_key
from hilum.study.masks import read_masks
from hilum.study.study import Case

logger = logging.getLogger(__name__)
KEPT = 8
SAVE_AFTER_S = 1.5


Seen = tuple[tuple[int, ...], ...]


class StaleError(HilumError):
    """A stroke was made on an older state of the mask than the studio's."""


@dataclass(eq=False)
class Painting:
    """One mask that is open: its pixels, its journal, and how many strokes it has had since it was opened.

    `seen` tells the state of its files, as the pixels are, from what another program writes there.
    """

    case: str
    target: str
    mask: NDArray[np.bool_]
    path: Path
    seen: Seen
    version: int = 0
    last_key: str = ""
    changed: float | None = None
    annotated: bool = False
    recovered: bool = False


@dataclass
class Easel:
    """The masks that are open, of the targets there are; `view` gives the study as it is now.

    `reading` tells whether a training reads the files now: a lossy mask, which would be replaced by a file of
    another name, waits in its journal until it has ended.
    """

    view: Callable[[], View]
    targets: Callable[[], list[str]]
    image: Callable[[str], Image]
    saved: Callable[[str, str, bool], None]
    reading: Callable[[], bool] = lambda: False
    paintings: dict[tuple[str, str], Painting] = field(default_factory=dict)
    put_away: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, case: str, target: str) -> Painting:
        """The mask of a target of a case, with every stroke that the journal still holds.

        Read anew where another program has changed its file and no stroke waits to be saved.
        Raises HilumError where there is no such case or target.
        """
        if target not in self.targets():
            raise HilumError(f"{target[:60]!r}: is no target of this study; name it first")
        with self.lock:
            key = (case, target)
            if key not in self.paintings:
                self._make_room()
                self.paintings[key] = _opened(self.view(), self.image(case), case, target)
                self._go_on_counting(key)
            _follow(self.paintings[key], self.view().by_name.get(case))
            self.paintings[key] = self.paintings.pop(key)
            return self.paintings[key]

    def stroke(self, case: str, target: str, stroke: journal.Stroke, version: int) -> int:
        """Do a stroke: on the disk first, then in memory; the new version. One sent twice is done once.

        Raises StaleError where the page painted on another state of this mask.
        """
        with self.lock:
            painting = self.open(case, target)
            if stroke.key and stroke.key == painting.last_key:
                return painting.version
            if version != painting.version:
                raise StaleError(
                    f"{target} of {case} was changed elsewhere; it is loaded again, without the last stroke"
                )
            view = self.view()
            known = case_of(view, case)
            place_of(view, known, target)
            if not painting.path.is_file():
                base = journal.digest(painting.mask)
                journal.begin(painting.path, case, target, base, image_key(view, known))
            journal.add(painting.path, stroke)
            journal.apply(painting.mask, stroke)
            painting.version += 1
            painting.last_key, painting.changed = stroke.key, time.monotonic()
            return painting.version

    def begin(self, case: str, target: str) -> None:
        """Count an image as annotated although nothing is painted: its mask is empty."""
        with self.lock:
            self.open(case, target).changed = time.monotonic()
            self.save(case, target)

    def save(self, case: str, target: str) -> Path | None:
        """Write a mask that changed; its file, or None where there is nothing to write."""
        with self.lock:
            painting = self.paintings.get((case, target))
            if painting is None or painting.changed is None:
                return None
            view = self.view()
            place = place_of(view, case_of(view, case), target)
            # a lossy file is replaced by one of another name: the study has to be looked at anew
            moved = place.old is not None and place.old != place.path
            if moved and self.reading():
                return None
            if painting.path.is_file():
                journal.note_saving(painting.path, journal.digest(painting.mask))
            if place.old is not None and painting.seen != _seen(view.by_name.get(case), target):
                logger.warning("%s: was changed by another program meanwhile; a copy is kept", place.old)
                keep_changed(view.root, place.old)
            path = save_mask(view, case_of(view, case), target, place, painting.mask, self.image(case))
            painting.path.unlink(missing_ok=True)
            painting.changed = None
            fresh, painting.annotated = moved or not painting.annotated, True
            self.saved(case, target, fresh)
            painting.seen = _seen(self.view().by_name.get(case), target)
            self._read_sharers(case, target, place)
        return path

    def waiting(self) -> list[tuple[str, str]]:
        """Masks (case, target) with strokes that are not in their files yet."""
        with self.lock:
            return [key for key, painting in self.paintings.items() if painting.changed is not None]

    def save_all(self, older_than_s: float = 0.0) -> list[Path]:
        """Write every mask whose last stroke is that old.

        Raises HilumError that names what could not be saved, after the others are.
        """
        now, paths, failed = time.monotonic(), [], []
        with self.lock:
            for case, target in list(self.paintings):
                painting = self.paintings.get((case, target))
                if painting is None or painting.changed is None or now - painting.changed < older_than_s:
                    continue
                try:
                    path = self.save(case, target)
                    paths += [path] if path else []
                except HilumError as error:
                    failed.append(f"{target} of {case} is not saved: {error}")
        if failed:
            raise HilumError("\n".join(failed))
        return paths

    def _read_sharers(self, case: str, target: str, place: Place) -> None:
        """Read the other targets anew where one file holds them all, since a pixel belongs to one alone.

        Each stays open with its version where it lost no pixel: the page goes on painting on it.
        """
        if place.encoding.kind == "threshold":
            return
        known = self.view().by_name.get(case)
        for (name, other), painting in self.paintings.items():
            if name != case or other == target:
                continue
            if painting.changed is None:
                _follow(painting, known)
            else:
                painting.seen = _seen(known, other)

    def _make_room(self) -> None:
        """Forget the masks that were not used for the longest time, of those that are saved."""
        clean = [key for key, painting in self.paintings.items() if painting.changed is None]
        for key in clean[: max(0, len(self.paintings) - KEPT + 1)]:
            gone = self.paintings.pop(key)
            self.put_away[key] = (gone.version, journal.digest(gone.mask))

    def _go_on_counting(self, key: tuple[str, str]) -> None:
        """Give a mask that is opened again the version that pages know it by; the next one if it changed."""
        if key in self.put_away:
            version, known = self.put_away.pop(key)
            painting = self.paintings[key]
            painting.version = version + (journal.digest(painting.mask) != known)


def _seen(case: Case | None, target: str) -> Seen:
    """When the files of a mask were written, how large and which they are; () for one that is gone."""
    mask = case.masks.get(target) if case is not None else None
    return tuple(_stamp(source.path) for source in mask.sources) if mask is not None else ()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _follow(painting: Painting, case: Case | None) -> None:
    """Read a mask that is saved anew where its files are others than those it was read from or saved in."""
    now = _seen(case, painting.target)
    if case is None or painting.changed is not None or now == painting.seen or () in now:
        return
    mask = read_masks(case, [painting.target], painting.mask.shape)[0][0]
    painting.seen = now
    if not np.array_equal(mask, painting.mask):
        painting.mask, painting.version = mask, painting.version + 1


def _opened(view: View, image: Image, name: str, target: str) -> Painting:
    case = case_of(view, name)
    seen = _seen(case, target)
    masks, annotated = read_masks(case, [target], image.shape)
    path = journal.journal_path(view.root, image_key(view, case), target)
    rows = journal.read_journal(path)
    painting = Painting(name, target, masks[0], path, seen, annotated=bool(annotated[0]))
    if not rows:
        return painting
    found = journal.recovered(masks[0], rows)
    if found is None:
        aside = path.with_suffix(".aside")
        path.replace(aside)
        logger.warning(
            "%s of %s: its file is another than the one painted on; strokes kept in %s", target, name, aside
        )
        return painting
    if np.array_equal(found, masks[0]):
        path.unlink()
    else:
        painting.mask, painting.changed, painting.recovered = found, time.monotonic(), True
    return painting


def left_over(view: View) -> list[tuple[str, str]]:
    """Masks whose journals were left by a studio that ended hard: (case, target)."""
    images = {image_key(view, case): case for case in view.cases}
    found = []
    for path in sorted((view.root / journal.FOLDER / "journal").glob("*.jsonl")):
        rows = journal.read_journal(path)
        if not rows or "case" not in rows[0]:
            continue
        name, target, image = (str(rows[0].get(key, "")) for key in ("case", "target", "image"))
        case = images.get(image) if image else view.by_name.get(name)
        if case is None:
            logger.warning("%s of %s: there is no such image now; its strokes stay in %s", target, name, path)
            continue
        home = journal.journal_path(view.root, image_key(view, case), target)
        if not home.exists():  # an earlier version named journals by their case
            path.replace(home)
        found.append((case.name, target))
    return found
