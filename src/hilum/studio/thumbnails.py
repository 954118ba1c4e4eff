"""Small pictures of cases, kept in memory until a file that they show changes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hilum.errors import HilumError
from hilum.studio import pictures
from hilum.studio.view import case_of
from hilum.study.inputs import sources_of
from hilum.study.masks import read_masks
from hilum.study.study import Case

if TYPE_CHECKING:
    from hilum.studio.desk import Desk

LIMIT_BYTES = 64_000_000


@dataclass
class Thumbnails:
    """JPEGs of the cases looked at last, by what they show, up to so many bytes."""

    held: OrderedDict[tuple[str, str], bytes] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[str, str]) -> bytes | None:
        """The picture of that name and stamp, if it is held."""
        with self.lock:
            if key in self.held:
                self.held.move_to_end(key)
            return self.held.get(key)

    def keep(self, key: tuple[str, str], content: bytes) -> None:
        """Hold a picture, and let go of those not asked for the longest time."""
        with self.lock:
            self.held[key] = content
            while len(self.held) > 1 and sum(map(len, self.held.values())) > LIMIT_BYTES:
                self.held.popitem(last=False)


def stamp(desk: Desk, case: Case) -> str:
    """Changes when a file of the case, or the order of the targets (their colours), does."""
    told = [repr(desk.all_targets())]
    for source in sources_of(case):
        try:
            found = source.path.stat()
        except OSError:
            continue  # a file that is gone is told of when it is read
        told.append(f"{source.path} {found.st_mtime_ns} {found.st_size}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def thumbnail_of(desk: Desk, name: str, with_masks: bool = True) -> bytes:
    """A case as a small JPEG, its masks drawn in. Raises HilumError where it cannot be read."""
    case = case_of(desk.view, name)
    if not with_masks:
        return _made(desk, case, False)
    key = (name, stamp(desk, case))
    held = desk.thumbnails.get(key)
    if held is None:
        held = _made(desk, case, True)
        desk.thumbnails.keep(key, held)
    return held


def _made(desk: Desk, case: Case, with_masks: bool) -> bytes:
    if desk.slides.is_slide(case):
        return pictures.jpeg(desk.slides.thumbnail(case, pictures.THUMBNAIL))
    image = desk.images.read(case.name)
    targets = desk.all_targets()
    masks = {}
    if with_masks and case.masks:
        known = [target for target in targets if target in case.masks]
        arrays, _ = read_masks(case, known, image.shape)
        masks = {targets.index(target): array for target, array in zip(known, arrays, strict=True)}
    return pictures.jpeg(pictures.thumbnail(image, masks))


def warm(desk: Desk, names: Iterable[str]) -> None:
    """Make the pictures that will be asked for first, aside; one that cannot be made tells why when asked."""

    def make() -> None:
        for name in names:
            try:
                thumbnail_of(desk, name)
            except HilumError:
                continue

    threading.Thread(target=make, daemon=True).start()
