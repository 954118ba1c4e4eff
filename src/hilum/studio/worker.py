"""The process that does the long work of the studio: it calls the verbs and writes down how far it is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.errors import HilumError
from hilum.training.stopping import sigterm_as_ctrl_c

if TYPE_CHECKING:
    from hilum.training.loop import Progress

NICE = 5
Tell = Callable[[Mapping[str, Any]], None]


class _Told(logging.Handler):
    """Hands the package's messages to the log of the job."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.INFO)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        self.tell({"told": record.getMessage()})


def train(tell: Tell, folder: str, out: str, **options: Any) -> None:
    """`hilum train`, its steps told as they come."""
    from hilum.verbs.train import train as run_training

    def watch(progress: Progress) -> None:
        tell(
            {
                "fold": progress.fold,
                "step": progress.step,
                "steps": progress.steps,
                "values": dict(progress.values),
            }
        )

    run_training(folder, out, watch=watch, **options)


def rank(tell: Tell, folder: str, run: str) -> None:
    """Predict the images without annotation and rank them by what they would teach."""
    from hilum.studio.ranking import rank_folder

    rank_folder(Path(folder), Path(run), lambda done, of: tell({"step": done, "steps": of}))


def curve(tell: Tell, folder: str, out: str, minutes: float | None = None, steps: int | None = None) -> None:
    """Train on parts of the images, to tell what more of them would bring."""
    from hilum.studio.learning import measure_curve

    measure_curve(Path(folder), Path(out), minutes, steps, lambda done, of: tell({"step": done, "steps": of}))


def explain(tell: Tell, folder: str, run: str, case: str, what: str, index: int) -> None:
    """Show what a network looks at in one case."""
    from hilum.studio.explaining import explain_for

    explain_for(Path(folder), Path(run), case, what, index)


VERBS: dict[str, Callable[..., None]] = {"train": train, "rank": rank, "curve": curve, "explain": explain}


def main(arguments: list[str]) -> int:
    """Do VERB with its arguments as JSON, told into LOG; the exit code as of the command line."""
    verb, log, options = arguments[0], Path(arguments[1]), json.loads(arguments[2])
    with contextlib.suppress(OSError, AttributeError):  # painting comes first on a small machine
        os.nice(max(0, NICE - os.nice(0)))
    with log.open("a", encoding="utf-8") as handle:

        def tell(row: Mapping[str, Any]) -> None:
            handle.write(json.dumps(row, default=float) + "\n")
            handle.flush()

        package = logging.getLogger("hilum")
        package.setLevel(logging.INFO)
        package.addHandler(_Told(tell))
        try:
            with sigterm_as_ctrl_c():
                VERBS[verb](tell, **options)
        except HilumError as error:
            tell({"end": "failed", "error": str(error)})
            return 1
        except KeyboardInterrupt:
            tell({"end": "stopped"})
            return 130
        tell({"end": "done"})
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
