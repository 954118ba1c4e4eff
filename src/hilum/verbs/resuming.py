"""What a training was begun with besides its plan, and whether `--resume` asks for the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.errors import RunError, StudyError
from hilum.planning.planner import Wishes, unheard
from hilum.study.splits import Splits, read_splits
from hilum.training.run import Run


@dataclass(frozen=True)
class Options:
    """What the user asked of a training besides the plan."""

    splits: Path | None = None
    fold: int | None = None
    init: Path | None = None
    skip_bad: bool = False
    at_once: int = 1


def chosen_folds(splits: Splits, options: Options) -> list[int]:
    """The folds to train. Raises StudyError where the one asked for is none."""
    if options.fold is not None and not 0 <= options.fold < len(splits.folds):
        raise StudyError(f"--fold {options.fold}: there are folds 0 to {len(splits.folds) - 1}")
    return [options.fold] if options.fold is not None else list(range(len(splits.folds)))


def check_heard(run: Run, wishes: Wishes, options: Options) -> None:
    """Raise RunError where --resume comes with wishes that the run was not begun with."""
    chosen_folds(run.splits, options)
    begun_from(run, options)
    differing = unheard(run.plan, wishes, len(run.splits.folds))
    if differing:
        raise RunError(
            f"{run.folder}: --resume goes on with this run's plan.yaml, and {', '.join(differing)} "
            "would change it; leave that out, or train into a new folder"
        )
    if options.splits and _parts(read_splits(options.splits, run.study)) != _parts(run.splits):
        raise RunError(
            f"{run.folder}: --resume goes on with this run's splits.json, and --splits {options.splits} has "
            "other folds; leave it out, or train into a new folder"
        )


def begun_from(run: Run, options: Options) -> Path | None:
    """The run whose weights this one starts from: that of its beginning, also where --init is left out.

    Raises RunError where --init names another one. Runs of an earlier Hilum do not say what they began
    with: they take what --init says.
    """
    notes = run.manifest
    if "init" not in notes:
        return options.init
    begun = Path(notes["init"]) if notes["init"] else None
    if options.init is not None and (begun is None or options.init.resolve() != begun.resolve()):
        raise RunError(
            f"{run.folder}: was begun {f'with --init {begun}' if begun else 'without --init'}, and its other "
            f"folds would start from --init {options.init}; leave that out, or train into a new folder"
        )
    return begun


def _parts(splits: Splits) -> list[tuple[frozenset[str], frozenset[str]]]:
    """The cases of each fold that are scored, and its others: which of these are held back is planned."""
    return [(frozenset(fold.test), frozenset((*fold.train, *fold.val))) for fold in splits.folds]
