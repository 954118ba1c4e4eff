"""Damaged and hostile input by the thousand: every outcome is a right result or a HilumError.

    python bench/fuzz.py                      all targets, 10,000 inputs each
    python bench/fuzz.py png dicom -n 1000    some of them

A line a target goes to `bench/results/fuzz.jsonl`: inputs by outcome, the slowest, and how far the memory
of the process rose. Inputs are fixed by `--seed`, so a failure comes again; the input of every failure is
kept in `--keep`, but for one that ended its process. Outcomes:

    read       the same pixels or values as the undamaged file gives
    other      a whole result with other values, as a flipped bit in pixels that no checksum guards gives
    refused    a HilumError
    wrong      a file cut short was read as if it were whole, with other values     (a failure)
    error      any other exception                                                  (a failure)
    slow       longer than 5 seconds                                                (a failure)
    died       the process crashed or hung for 60 seconds                           (a failure)
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_seeds as seeds
import fuzz_windows as windows
from hilum.errors import HilumError

RESULTS = Path(__file__).parent / "results" / "fuzz.jsonl"
SLOW_S, HANG_S = 5.0, 60.0
FAILURES = ("wrong", "error", "slow", "died")
EXTREMES = (
    b"\xff" * 4,
    b"\0" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"\x80" + b"\0" * 7,
)
WORDS = (
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"99999999999",
    b"../",
    b"\0",
    b"\n",
    b"[[[[",
    b"{",
    b'"',
    b": &a *a ",
)


@dataclass(frozen=True)
class Target:
    """Something that takes in files: a folder with one to damage, and what is done with it."""

    make: Callable[[Path], list[Path]]
    attempt: Callable[[Path], Any]
    cut_is_told: bool = True


TARGETS: dict[str, Target] = {
    name: Target(*parts) for name, parts in {**seeds.TARGETS, **windows.targets(seeds.run_files)}.items()
}


def mutant(seed: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A damaged copy of a file and how it was damaged: cut, flipped, extreme, doubled, swapped, worded."""
    content = bytearray(seed)
    if not content:
        return b"\0", "extreme"
    at = int(rng.integers(len(content)))
    early = int(rng.integers(min(len(content), 400)))
    match int(rng.integers(8)):
        case 0:
            return bytes(content[:at]), "cut"
        case 1:
            for place in rng.integers(len(content), size=rng.integers(1, 8)):
                content[place] ^= 1 << int(rng.integers(8))
            return bytes(content), "flipped"
        case 2:
            number = EXTREMES[rng.integers(len(EXTREMES))]
            content[early : early + len(number)] = number
            return bytes(content), "extreme"
        case 3:
            content[early] ^= 1 << int(rng.integers(8))
            return bytes(content), "flipped"
        case 4:
            content[at:at] = content[early : early + int(rng.integers(1, 64))]
            return bytes(content), "doubled"
        case 5:
            word = WORDS[rng.integers(len(WORDS))]
            content[at : at + int(rng.integers(0, 8))] = word
            return bytes(content), "worded"
        case 6:
            length = int(rng.integers(1, 64))
            one, two = content[early : early + length], content[at : at + length]
            content[early : early + length], content[at : at + length] = two, one
            return bytes(content), "swapped"
        case _:
            del content[early : early + int(rng.integers(1, 64))]
            return bytes(content), "shortened"


def digest(value: Any) -> str:
    """What is compared of a result."""
    if isinstance(value, np.ndarray):
        return hashlib.blake2b(
            f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes()
        ).hexdigest()
    return hashlib.blake2b(repr(value).encode(errors="replace")).hexdigest()


class Fuzzer:
    """One target in a folder of its own: damages its files one at a time and tells the outcome."""

    def __init__(self, name: str, folder: Path, seed: int = 0) -> None:
        self.name, self.target, self.seed = name, TARGETS[name], seed
        self.folder = folder / "a"
        self.folder.mkdir(parents=True)
        self.paths = self.target.make(self.folder)
        self.whole = {path: path.read_bytes() for path in self.paths}
        self.right = {path: digest(self.target.attempt(path)) for path in self.paths}

    def damaged(self, number: int) -> tuple[Path, bytes, str]:
        """The file that an input damages, its damaged bytes and how they were damaged."""
        rng = np.random.default_rng([self.seed, number, *self.name.encode()])
        path = self.paths[number % len(self.paths)]
        return path, *mutant(self.whole[path], rng)

    def one(self, number: int) -> tuple[str, str]:
        """The outcome of one damaged file, and what went wrong."""
        path, content, how = self.damaged(number)
        path.write_bytes(content)
        began = time.monotonic()
        try:
            outcome, told = self._attempt(path, content, how)
        finally:
            path.write_bytes(self.whole[path])
        if time.monotonic() - began > SLOW_S:
            return "slow", f"{path.name} {how}: {time.monotonic() - began:.1f} s"
        return outcome, told

    def _attempt(self, path: Path, content: bytes, how: str) -> tuple[str, str]:
        try:
            found = digest(self.target.attempt(path))
        except HilumError:
            return "refused", ""
        except Exception:  # noqa: BLE001
            return "error", f"{path.name} {how}: {traceback.format_exc(limit=-4)}"
        if found == self.right[path]:
            return "read", ""
        if how == "cut" and self.target.cut_is_told:
            return "wrong", f"{path.name} cut to {len(content)} of {len(self.whole[path])} bytes"
        return "other", ""


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(name: str, first: int, last: int, seed: int, keep: Path) -> None:
    """Inputs from `first` to before `last`; a line of JSON an input, flushed, so that a crash is placed."""
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=room) as folder:
        fuzzer = Fuzzer(name, Path(folder), seed)
        before = peak_mib()
        for number in range(first, last):
            print(json.dumps({"at": number}), flush=True)
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            began = time.monotonic()
            outcome, told = fuzzer.one(number)
            took = time.monotonic() - began
            if outcome in FAILURES:
                path, content, _ = fuzzer.damaged(number)
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{number}-{path.name}").write_bytes(content)
            line = {"n": number, "outcome": outcome, "s": round(took, 4), "told": told[-1500:]}
            print(json.dumps(line | {"mib": round(peak_mib() - before, 1)}), flush=True)
        faulthandler.cancel_dump_traceback_later()


def run_target(name: str, count: int, seed: int, keep: Path, first: int = 0) -> dict[str, Any]:
    """All inputs of a target, in processes that may die."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest = growth = 0.0
    number, began = first, time.monotonic()
    while number < count:
        command = [sys.executable, __file__, name, "--child", str(number), str(min(count, number + 2500))]
        process = subprocess.Popen(
            [*command, "--seed", str(seed), "--keep", str(keep)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        out, err = process.communicate()
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        done = [line for line in lines if "outcome" in line]
        for line in done:
            outcomes[line["outcome"]] += 1
            slowest, growth = max(slowest, line["s"]), max(growth, line["mib"])
            if line["outcome"] in FAILURES:
                failures.append(f"input {line['n']}: {line['outcome']}: {line['told']}")
        number = done[-1]["n"] + 1 if done else number
        if process.returncode:
            if not lines:
                raise SystemExit(f"{name}: did not start: {err[-2000:]}")
            outcomes["died"] += 1
            failures.append(f"input {number}: died with {process.returncode}: {err[-600:]}")
            number += 1
    return {
        "target": name,
        "inputs": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "failures": len(failures),
        "slowest_s": slowest,
        "memory_rise_mib": growth,
        "took_s": round(time.monotonic() - began, 1),
        "seed": seed,
        "examples": failures[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("-n", "--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))}")
    if given.child:
        first, last = given.child
        child(given.targets[0], first, last, given.seed, given.keep)
        return
    for name in given.targets or list(TARGETS):
        found = run_target(name, given.inputs, given.seed, given.keep)
        line = {"date": datetime.now().isoformat(timespec="seconds"), **found}
        given.results.parent.mkdir(exist_ok=True)
        with given.results.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
        print(json.dumps({key: value for key, value in line.items() if key != "examples"}), flush=True)
        for failure in found["examples"]:
            print(failure, flush=True)


if __name__ == "__main__":
    main()
