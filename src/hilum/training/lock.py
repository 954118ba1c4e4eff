"""One process writes a run at a time: a lock that says who holds it, and that no crash leaves behind."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from hilum.errors import HilumError, RunError

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)
NAME = ".lock"
LIMIT_BYTES = 10_000
_ATTEMPTS = 5
_TEMPORARY = re.compile(r"\.(?:[0-9a-f]{12}(?:\..*)?|volume-.*)")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the run in `folder`, which is made where it is missing; nothing of this is left afterwards.

    The system itself lets go of the lock when its process ends, however it ends, so that the lock of a
    crashed one is taken over. Raises RunError where another
    process holds the run, or one on another machine did not let go of it; HilumError where the folder
    cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; name a folder")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _acquired(path)
    except OSError as error:
        _remove_empty(made)
        raise HilumError(f"{folder}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        _let_go(handle, path)
        _remove_empty(made)


def _let_go(handle: IO[str], path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        handle.close()


def _remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left half written below `folder`."""
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if _TEMPORARY.fullmatch(name):
                left = Path(root) / name
                logger.info("removed %s, left half written", left)
                with contextlib.suppress(OSError):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()


def passed_over(name: str) -> bool:
    """Whether a name in a run's folder is no content: the lock, or something half written.

    >>> passed_over(".lock"), passed_over(".0123456789ab.json"), passed_over("plan.yaml")
    (True, True, False)
    """
    return name == NAME or bool(_TEMPORARY.fullmatch(name))


def _acquired(path: Path) -> IO[str]:
    """The lock file, open and locked, with this process in it."""
    for _ in range(_ATTEMPTS):
        handle = path.open("a+", encoding="utf-8")
        holder = _holder(handle)
        if not _lock(handle) or _lives_elsewhere(holder):
            handle.close()
            raise RunError(_refusal(path, holder))
        if _still_there(handle, path):
            if holder:
                logger.warning("process %s, which held this run, is gone: going on", holder.get("pid"))
            try:
                handle.truncate(0)
                json.dump(_myself(), handle)
                handle.flush()
            except OSError:
                _let_go(handle, path)
                raise
            return handle
        handle.close()
    raise RunError(f"{path.parent}: other processes take and leave this run all the time; try again")


def _lock(handle: IO[str]) -> bool:
    """Whether the system gives the lock; where it has none, all is left to what the file says."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.warning("this disk knows no locks (%s): do not train one run twice at once", error.strerror)
    return True


def _still_there(handle: IO[str], path: Path) -> bool:
    """Whether the file is still the one at `path`: its last holder removes it."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(handle: IO[str]) -> Mapping[str, Any]:
    handle.seek(0)
    try:
        content = json.loads(handle.read(LIMIT_BYTES) or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _lives_elsewhere(holder: Mapping[str, Any]) -> bool:
    """Whether the file names another machine, of whose processes nothing can be known from here."""
    mine = _myself()
    return bool(holder) and all(holder.get(key) != mine[key] for key in ("host", "boot"))


def _refusal(path: Path, holder: Mapping[str, Any]) -> str:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"
    if _lives_elsewhere(holder):
        return (
            f"{path.parent}: held by {who}, another machine. If that has ended: rm {shlex.quote(str(path))}"
        )
    return f"{path.parent}: held by {who}, which trains it now; wait for it or stop it, then add --resume"


def _myself() -> dict[str, Any]:
    """Who holds the lock. Containers on one machine share its boot, a restarted machine keeps its name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    host = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": host, "boot": boot or host, "since": since}
