"""Kills real trainings at random moments, goes on with them, and compares every bit with an undisturbed one.

    python bench/reliability.py kills --kills 20 --out /tmp/kills
    python bench/reliability.py memory --out /tmp/memory
    python bench/reliability.py disk --kills 10 --out /tmp/disk       (as root: it mounts small disks)

Each line of the results (`bench/results/reliability.jsonl`) is one trial or one measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "reliability.jsonl"
EVERY_S = 0.3
# States are written every 0.3 s instead of every ten, so that kills meet many of them, also while written.
MODULES = ("hilum.verbs.train", "hilum.verbs.predict", "matplotlib.pyplot", "pandas", "openpyxl", "skimage")
TIMES = ("seconds", "cpu_s")
SETTINGS = ("training.threads=1", "model.settings.width=4", "scoring.bootstrap=100")


def train_words(study: Path, run: Path, steps: int, *more: str) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["train", str(study), "--out", str(run), "--steps", str(steps), "--folds", "2", "--device", "cpu"]
    return [*words, *settings, *more]


def start(words: list[str], told: Path) -> int:
    """The process of a `hilum` command line, forked from this one, which has imported what it needs."""
    pid = os.fork()
    if pid:
        return pid
    with told.open("w") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    from hilum import cli
    from hilum.training import companions

    companions.STATE_EVERY_S, companions.STATE_SHARE = EVERY_S, 1.0
    sys.argv = ["hilum", *words]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def wait(pid: int, limit_cpu_s: float | None = None) -> tuple[int, Any]:
    """Exit code (minus the signal) and the resources used; killed after so many CPU seconds.

    CPU seconds, not wall time, which on a busy machine says little about how far a training has come.
    """
    while limit_cpu_s is not None:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage
        if cpu_s(pid) >= limit_cpu_s:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage


def cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fingerprint(run: Path) -> dict[str, str]:
    """A digest of every file of a run that holds results; times of day and seconds are left out."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and not name.startswith("cache/"):
            found[name] = hashlib.blake2b(content(path), digest_size=16).hexdigest()
    return found


def content(path: Path) -> bytes:
    """The bytes of a file, less what tells when it was made."""
    if path.name in ("manifest.json", "report.html"):
        return b""
    if path.name == "history.csv":
        rows = list(csv.DictReader(path.open(encoding="utf-8")))
        return json.dumps([{k: v for k, v in row.items() if k not in TIMES} for row in rows]).encode()
    if path.suffix == ".xlsx":
        from openpyxl import load_workbook

        book = load_workbook(path, read_only=True)
        return json.dumps(
            [[list(r) for r in s.iter_rows(values_only=True)] for s in book], default=str
        ).encode()
    return path.read_bytes()


def leftovers(run: Path) -> list[str]:
    return [str(path.relative_to(run)) for path in run.rglob(".*")]


def one_kill(study: Path, run: Path, steps: int, after_s: float, whole: dict[str, str]) -> dict[str, Any]:
    """Kill a training after so many CPU seconds, go on with it, compare."""
    shutil.rmtree(run, ignore_errors=True)
    told = run.with_name("told.txt")
    code, _ = wait(start(train_words(study, run, steps), told), after_s)
    left = leftovers(run) if run.is_dir() else []
    at = where(run)
    again, _ = wait(start(train_words(study, run, steps, "--resume"), told))
    now = fingerprint(run) if again == 0 else {}
    return {
        "killed_after_cpu_s": round(after_s, 2),
        "exit": code,
        "stood_at": at,
        "half_written": [name for name in left if name != ".lock"],
        "resumed": again == 0,
        "equal": now == whole,
        "differing": sorted(name for name in {*now, *whole} if now.get(name) != whole.get(name))[:10],
        "error": told.read_text()[-500:] if again else "",
    }


def where(run: Path) -> str:
    """How far a killed run had come."""
    if not (run / "manifest.json").is_file():
        return "before the manifest"
    if (run / "report.html").is_file():
        return "report written"
    if (run / "evaluation" / "summary.json").is_file():
        return "scored"
    folds = [fold for fold in (0, 1) if (run / f"fold-{fold}" / "model.safetensors").is_file()]
    state = any((run / f"fold-{fold}" / "state" / "state.safetensors").is_file() for fold in (0, 1))
    return f"{len(folds)} folds done{', with a state' if state else ''}"


def kills(arguments: argparse.Namespace) -> None:
    from hilum.phantoms.make import make_phantom

    out = Path(arguments.out)
    study, whole = out / "study", out / "whole"
    if not study.is_dir():
        make_phantom("histology", study, cases=4, size=(96, 96))
    timing = out / "took.txt"
    if not timing.is_file():
        shutil.rmtree(whole, ignore_errors=True)
        code, usage = wait(start(train_words(study, whole, arguments.steps), out / "told.txt"))
        if code:
            raise SystemExit((out / "told.txt").read_text())
        timing.write_text(str(usage.ru_utime + usage.ru_stime))
    took, expected = float(timing.read_text()), fingerprint(whole)
    rng = random.Random(arguments.seed)
    moments = [rng.uniform(0.02, 0.98) * took for _ in range(arguments.kills)]
    for number, after_s in list(enumerate(moments))[arguments.first : arguments.last]:
        trial = one_kill(study, out / "killed", arguments.steps, after_s, expected)
        record("kill", {"number": number, "whole_cpu_s": round(took, 1), "steps": arguments.steps, **trial})


def disk(arguments: argparse.Namespace) -> None:
    """A small memory disk (mounting needs root) that is too small, fills up or vanishes during a training."""
    from hilum.phantoms.make import make_phantom

    out = Path(arguments.out)
    study, whole, place = out / "study", out / "whole", out / "disk"
    if not study.is_dir():
        make_phantom("histology", study, cases=4, size=(96, 96))
    shutil.rmtree(whole, ignore_errors=True)
    code, usage = wait(start(train_words(study, whole, arguments.steps), out / "told.txt"))
    if code:
        raise SystemExit((out / "told.txt").read_text())
    took, expected = usage.ru_utime + usage.ru_stime, fingerprint(whole)
    place.mkdir(exist_ok=True)
    rng = random.Random(arguments.seed)
    for kib in (64, 512, 2048):
        with mounted(place, f"{kib}k"):
            told = train_on(study, place / "run", arguments.steps, out)
            record("disk too small", {"kib": kib, **told, "left": used_bytes(place)})
    for number in range(arguments.kills):
        after_s = rng.uniform(0.02, 0.98) * took
        with mounted(place, "256m"):
            record(
                "disk full",
                {"number": number, **filled(study, place, arguments.steps, out, after_s, expected)},
            )
    for number in range(3):
        after_s = rng.uniform(0.3, 0.9) * took
        with mounted(place, "256m"):
            pid = start(train_words(study, place / "run", arguments.steps), out / "told.txt")
            until(pid, after_s)
            subprocess.run(["umount", "-l", str(place)], check=True)
            code, _ = wait(pid)
            left = [path.name for path in place.iterdir()]
            record("disk vanished", {"number": number, **outcome(code, out), "made_anew": left})


def filled(
    study: Path, place: Path, steps: int, out: Path, after_s: float, expected: dict[str, str]
) -> dict[str, Any]:
    """Fill the disk to the last byte during a training, make room again, go on, compare."""
    pid, ballast = start(train_words(study, place / "run", steps), out / "told.txt"), place / "ballast"
    until(pid, after_s)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as handle:
        while handle.write(bytes(65536)):
            pass
    at = where(place / "run")
    code, _ = wait(pid)
    first = outcome(code, out)
    ballast.unlink()
    half = [name for name in leftovers(place / "run") if name != ".lock"] if (place / "run").is_dir() else []
    again, _ = wait(start(train_words(study, place / "run", steps, "--resume"), out / "told.txt"))
    now = fingerprint(place / "run") if again == 0 else {}
    differing = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
    resumed = {"resumed": again == 0, "equal": not differing, "differing": differing[:10]}
    error = (out / "told.txt").read_text()[-500:] if again else ""
    return {"filled_after_cpu_s": round(after_s, 2), "stood_at": at, **first, "half_written": half, **resumed,
            "error": error}  # fmt: skip


@contextlib.contextmanager
def mounted(place: Path, size: str) -> Iterator[None]:
    """A memory disk of one size at a folder, for as long as it is needed."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, stderr=subprocess.DEVNULL)


def train_on(study: Path, run: Path, steps: int, out: Path) -> dict[str, Any]:
    code, _ = wait(start(train_words(study, run, steps), out / "told.txt"))
    return outcome(code, out)


def outcome(code: int, out: Path) -> dict[str, Any]:
    """The exit code of a training, its last words, and whether these are a traceback."""
    told = (out / "told.txt").read_text()
    return {
        "exit": code,
        "traceback": "Traceback" in told,
        "said": " ".join(told.split())[-300:] if code else "",
    }


def until(pid: int, after_s: float) -> None:
    """Wait until a process has used so many CPU seconds or has ended."""
    while cpu_s(pid) < after_s and not ended(pid):
        time.sleep(0.002)


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def used_bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def memory(arguments: argparse.Namespace) -> None:
    """Peak memory of `hilum predict` on few and many images of one size, each in a process of its own."""
    from hilum.phantoms.make import make_phantom

    out = Path(arguments.out)
    study, run = out / "study", out / "run"
    if not study.is_dir():
        make_phantom("histology", study, cases=6, size=(192, 256))
        wait(start(train_words(study, run, 20), out / "told.txt"))
    image = sorted(path for path in (study / "pred").rglob("*.*") if path.is_file())[0]
    for count in arguments.counts:
        folder, results = out / f"images-{count}", out / f"results-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(results, ignore_errors=True)
        folder.mkdir()
        for number in range(count):
            shutil.copy(image, folder / f"{number}{image.suffix}")
        words = ["predict", str(run), str(folder), "--out", str(results), "--device", "cpu"]
        before = time.monotonic()
        code, usage = wait(start(words, out / "told.txt"))
        if code:
            raise SystemExit((out / "told.txt").read_text())
        record(
            "predict memory",
            {
                "images": count,
                "peak_mib": round(usage.ru_maxrss / 1024),
                "s": round(time.monotonic() - before, 1),
            },
        )


def record(kind: str, content: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    line = {"kind": kind, "date": datetime.now().isoformat(timespec="seconds"), **content}
    with RESULTS.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kills", "memory", "disk"])
    parser.add_argument("--out", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="of the kills, to go in parts")
    parser.add_argument("--last", type=int, default=None)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 50, 500])
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for module in MODULES:
        importlib.import_module(module)
    {"kills": kills, "memory": memory, "disk": disk}[arguments.what](arguments)


if __name__ == "__main__":
    main()
