"""Everything one studio holds while it runs: the folder's view, decoded images, masks being painted."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.studio import jobs
from hilum.studio.easel import Easel, left_over
from hilum.studio.pictures import Images
from hilum.studio.places import plain_target
from hilum.studio.rounds import current_run, default_runs
from hilum.studio.slides import Slides
from hilum.studio.thumbnails import Thumbnails
from hilum.studio.view import View, case_of, look, named_as, times_of
from hilum.study.listing import list_folder
from hilum.study.masks import read_case_image
from hilum.study.study import Finding
from hilum.training.run import Run

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 3.0


@dataclass
class Desk:
    """One study on the desk. `folder` is what was opened, `runs` where its trainings go."""

    folder: Path
    runs: Path
    view: View
    images: Images
    easel: Easel
    targets: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    inspected: tuple[Finding, ...] | None = None
    explaining: str = ""
    looked: float = 0.0
    slides: Slides = field(default_factory=Slides)
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def run(self) -> Run | None:
        """The model in use."""
        return current_run(self.runs)

    def all_targets(self) -> list[str]:
        """Targets of the study, then those that were named in the studio and have no mask yet."""
        return list(dict.fromkeys([*self.view.study.targets, *self.targets]))

    def refresh(self, always: bool = True) -> bool:
        """Look at the folder again: always, or where files came or went; whether it was looked at."""
        with self.lock:
            if not always:
                if time.monotonic() - self.looked < LOOK_EVERY_S:
                    return False
                self.looked = time.monotonic()
                now = times_of(self.view.folders)
                if self.view.folders == now:
                    return False
                if len(list_folder(self.folder).files) == self.view.files:
                    self.view.folders.update(now)  # a mask was written anew, as each one saved here is
                    return False
            self.view = named_as(look(self.folder), self.view)
            self.inspected = None
            return True


def open_desk(folder: Path, runs: Path | None = None) -> Desk:
    """Open a study. Raises StudyError where the folder holds no image."""
    folder = Path(folder)
    view = look(folder)
    desk: Desk

    def read(name: str) -> Image:
        return read_case_image(case_of(desk.view, name))

    def saved(case: str, target: str, fresh: bool) -> None:
        if fresh:
            desk.refresh()

    def reading() -> bool:
        return bool(jobs.running(desk.runs))

    images = Images(read)
    easel = Easel(lambda: desk.view, lambda: desk.all_targets(), images.get, saved, reading)
    desk = Desk(folder, runs or default_runs(view.root), view, images, easel)
    desk.runs.mkdir(parents=True, exist_ok=True)
    _take_up(desk)
    return desk


def _take_up(desk: Desk) -> None:
    """Open the masks whose strokes an earlier studio had no time to save, and save them."""
    for case, target in left_over(desk.view):
        try:
            if target not in desk.all_targets():
                desk.targets.append(plain_target(target))
            painting = desk.easel.open(case, target)
            if painting.recovered:
                logger.info("%s of %s: strokes that were not saved yet are taken up", target, case)
            desk.easel.save(case, target)
        except HilumError as error:
            logger.warning("%s of %s: its strokes stay in the journal: %s", target, case, error)
