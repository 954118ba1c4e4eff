"""A round of training: which folds it has, what it starts from, and the job that does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.errors import HilumError
from hilum.files import read_json, write_json
from hilum.studio import jobs
from hilum.studio.desk import Desk
from hilum.studio.rounds import all_rounds, next_name
from hilum.study.splits import Fold, Splits, write_splits
from hilum.study.study import Study
from hilum.tasks.decisions import planned_outputs
from hilum.training.run import Run

JOB = "train"


def begin_round(
    desk: Desk,
    minutes: float | None = None,
    steps: int | None = None,
    fresh: bool = False,
    settings: Sequence[str] = (),
    folds: int | None = None,
) -> str:
    """Start the next round in its own process; its name. It starts from the model in use unless `fresh`.

    Folds of that model are kept, so that each network starts from one that has not seen what it is scored on.
    Raises HilumError where nothing is annotated or a training runs.
    """
    if jobs.status(desk.runs, JOB).state == "running":
        raise HilumError("a training is running already; stop it first, or wait for it")
    desk.easel.save_all()
    desk.refresh()
    if not desk.view.study.cases:
        raise HilumError("nothing is annotated yet: paint some masks or give labels first")
    name = next_name(desk.runs)
    options: dict[str, Any] = {
        "minutes": None if steps else minutes,
        "steps": steps,
        "settings": list(settings),
    }
    start = None if fresh else startable(desk)
    if start is not None:
        options["init"] = str(start.folder)
        kept = extended(start.splits, desk.view.study)
        if kept is not None:
            path = desk.runs / jobs.FOLDER / f"{name}-splits.json"
            write_splits(path, kept)
            options["splits"] = str(path)
    if folds and "splits" not in options:
        options["folds"] = folds
    arguments = {"folder": str(desk.folder.resolve()), "out": str(desk.runs / name), **options}
    write_json(_begun(desk, name), arguments)
    jobs.begin(desk.runs, JOB, "train", arguments)
    return name


def resume_round(desk: Desk, name: str) -> None:
    """Go on with a round that was stopped. Raises HilumError where there is none of that name."""
    run = next((one.run for one in all_rounds(desk.runs) if one.name == name and one.state != "done"), None)
    if run is None:
        raise HilumError(f"{name}: is no round that was stopped")
    begun = _begun(desk, name)
    arguments = read_json(begun) if begun.is_file() else {"folder": str(desk.folder.resolve())}
    jobs.begin(desk.runs, JOB, "train", {**arguments, "out": str(run.folder), "resume": True})


def _begun(desk: Desk, name: str) -> Path:
    """Where it is kept how a round was started."""
    return desk.runs / jobs.FOLDER / f"{name}-begun.json"


def startable(desk: Desk) -> Run | None:
    """The model in use where a round can go on from it: the study still has the same targets or classes."""
    run = desk.run
    if run is None:
        return None
    study = desk.view.study
    wanted = planned_outputs(study.classes, study.exclusive) or study.targets
    return run if tuple(run.plan.data.outputs) == wanted else None


def extended(old: Splits, study: Study) -> Splits | None:
    """The folds of an earlier round with the cases that came since, each group whole and where it was.

    New groups go where the fewest cases are tested. None where folds were given, or do not fit any more.
    """
    if old.by not in ("group", "case", "file") or len(old.folds) < 2:
        return None
    place = {name: at for at, fold in enumerate(old.folds) for name in fold.test}
    by_group: dict[str, int] = {}
    for case in study.cases:
        if case.name in place:
            by_group.setdefault(case.group, place[case.name])
    tests: list[list[str]] = [[] for _ in old.folds]
    fresh: dict[str, list[str]] = {}
    for case in study.cases:
        if case.name in old.held_out:
            continue
        if case.name in place and old.by != "group":
            tests[place[case.name]].append(case.name)
        elif case.group in by_group:
            tests[by_group[case.group]].append(case.name)
        else:
            fresh.setdefault(case.group, []).append(case.name)
    for names in fresh.values():
        min(tests, key=len).extend(names)
    if not all(tests):
        return None
    every = [name for part in tests for name in part]
    folds = tuple(Fold(tuple(n for n in every if n not in set(part)), tuple(part)) for part in tests)
    reason = f"the {len(folds)} folds of the round before, new groups where the fewest were"
    return Splits(old.by if old.by != "file" else "case", folds, reason, old.held_out)


def progress_rows(desk: Desk) -> dict[str, list[tuple[float, dict[str, float]]]]:
    """What the running (or last) training told: rows of (step, values) by fold."""
    found: dict[str, list[tuple[float, dict[str, float]]]] = {}
    for row in jobs.status(desk.runs, JOB).rows:
        if "fold" in row:
            found.setdefault(f"fold {row['fold']}", []).append((float(row["step"]), dict(row["values"])))
    return found


def history_rows(run: Run) -> dict[str, list[tuple[float, dict[str, float]]]]:
    """The same of a finished run, from history.csv of its folds."""
    found = {}
    for index in range(len(run.splits.folds)):
        rows = run.history(index)
        if rows:
            found[f"fold {index}"] = [
                (float(row["step"]), {k: float(v) for k, v in row.items() if k != "step" and v})
                for row in rows
            ]
    return found


def predicted_cases(run: Run) -> list[str]:
    """Cases whose out-of-fold prediction is there already, in the order of the splits."""
    folder = run.evaluation / "probabilities"
    if not (run.folder / "splits.json").is_file():
        return []
    names = [name for fold in run.splits.folds for name in fold.test]
    return [name for name in names if Path(f"{folder / name}.npz").is_file()]
