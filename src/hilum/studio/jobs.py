"""Long work in processes of its own: begun, watched, stopped; a studio that ends does not end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.errors import HilumError
from hilum.files import write_json

FOLDER = ".jobs"
_LIMIT_BYTES = 40_000_000


@dataclass(frozen=True)
class Status:
    """Where a job stands: "running", "done", "failed", "stopped" or "none"; what it told; why it failed."""

    name: str
    state: str
    rows: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    told: Sequence[str] = field(default_factory=tuple)
    error: str = ""
    began: float = 0.0

    @property
    def last(self) -> Mapping[str, Any]:
        """The last step that was told."""
        return self.rows[-1] if self.rows else {}


def begin(runs: Path, name: str, verb: str, arguments: Mapping[str, Any]) -> None:
    """Start `verb` of the worker in its own process. Raises HilumError where that job runs already."""
    if status(runs, name).state == "running":
        raise HilumError(f"{name} is running already; stop it first")
    folder = runs / FOLDER
    log = folder / f"{name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    command = [
        sys.executable,
        "-P",
        "-m",
        "hilum.studio.worker",
        verb,
        str(log),
        json.dumps(arguments, default=str),
    ]
    with (folder / f"{name}.txt").open("wb") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True, cwd=runs
        )
    _CHILDREN[process.pid] = process
    note = {"pid": process.pid, "began": time.time(), "verb": verb, "start": _started(process.pid)}
    write_json(folder / f"{name}.json", note)


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def stop(runs: Path, name: str) -> None:
    """Ask a job to stop as Ctrl-C does: what is done is kept. Nothing happens where it does not run."""
    note = _note(runs, name)
    if note and _lives(note):
        os.kill(int(note["pid"]), signal.SIGTERM)


def status(runs: Path, name: str) -> Status:
    """Where a job stands, from its files alone, so that a new studio knows it too."""
    note = _note(runs, name)
    if not note:
        return Status(name, "none")
    rows, told, end = _read_log(runs / FOLDER / f"{name}.jsonl")
    began = float(note.get("began", 0))
    if end is not None and end.get("end") == "done":
        return Status(name, "done", rows, told, "", began)
    if end is not None:
        return Status(name, str(end["end"]), rows, told, str(end.get("error", "")), began)
    if _lives(note):
        return Status(name, "running", rows, told, "", began)
    return Status(name, "stopped", rows, told, _last_words(runs / FOLDER / f"{name}.txt"), began)


def running(runs: Path) -> list[str]:
    """Names of the jobs that run."""
    names = [path.stem for path in (runs / FOLDER).glob("*.json") if path.with_suffix(".jsonl").is_file()]
    return [name for name in sorted(names) if status(runs, name).state == "running"]


def _note(runs: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((runs / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else {}


def _lives(note: Mapping[str, Any]) -> bool:
    """Whether the process of a job is still there, and not another with its number."""
    pid = int(note["pid"])
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return note.get("start") in ("", _started(pid))


def _started(pid: int) -> str:
    """When a process started, in the machine's own count; empty where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _read_log(path: Path) -> tuple[list[dict[str, Any]], list[str], dict[str, Any] | None]:
    """Steps, messages and the end of a job's log; a line that is half written is left for later."""
    rows: list[dict[str, Any]] = []
    told: list[str] = []
    end = None
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            return rows, ["the log of this job is too large to be shown"], None
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return rows, told, None
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "end" in row:
            end = row
        elif "told" in row:
            told.append(str(row["told"]))
        else:
            rows.append(row)
    return rows, told, end


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
