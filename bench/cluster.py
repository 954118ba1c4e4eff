"""A cohort over two workers of a local Ray cluster, one of them killed in the middle, against the plain loop.

    python bench/cluster.py RUN IMAGE... --cohort 200 --out /tmp/cohort

The cohort are copies of the images, turned and brightened. Compares every mask file and every table, and
appends one line to `bench/results/cluster.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import hilum
from hilum.cluster.predict import predict as predict_on
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.image.writers import write_image

RESULTS = Path(__file__).parent / "results" / "cluster.jsonl"


def cohort(images: list[Path], count: int, folder: Path) -> None:
    """So many pictures, none like another."""
    rng = np.random.default_rng(0)
    loaded = [read_image(path).array for path in images]
    for number in range(count):
        array = loaded[number % len(loaded)]
        array = np.flip(array, tuple(axis for axis in (1, 2) if rng.random() < 0.5))
        brighter = np.clip(array * rng.uniform(0.85, 1.1) + rng.normal(0, 2, array.shape), 0, 255)
        write_image(folder / f"{number:04d}.png", Image(brighter.astype(np.uint8)))


def kill_one() -> int | None:
    for process in psutil.Process().children(recursive=True):
        if "CaseWorker" in " ".join(process.cmdline()):
            os.kill(process.pid, signal.SIGKILL)
            return int(process.pid)
    return None


def on_cluster(run: Path, folder: Path, out: Path, kill_at: int | None) -> dict[str, Any]:
    """Seconds until the first result, until the last, and workers lost."""
    begun, first, killed = time.perf_counter(), [], []

    def told(number: int, of: int) -> None:
        first.append(time.perf_counter() - begun)
        if number == kill_at:
            killed.append(kill_one())

    done = predict_on(run, folder, out, workers=2, device="cpu", overlays=False, told=told)
    spent = time.perf_counter() - begun
    lost = done.summary["lost_workers"]
    return {"cases": done.cases, "first_s": first[0], "wall_s": spent, "lost": lost, "killed": killed}


def apart(one: Path, other: Path) -> dict[str, int]:
    """Files that are missing or differ."""
    names = [
        path.relative_to(one) for path in sorted(one.rglob("*")) if path.suffix in (".png", ".csv", ".gz")
    ]
    missing = [name for name in names if not (other / name).is_file()]
    differ = [
        name
        for name in names
        if name not in missing and (one / name).read_bytes() != (other / name).read_bytes()
    ]
    return {"files": len(names), "missing": len(missing), "differ": len(differ)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--cohort", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    folder = args.out / "images"
    folder.mkdir(parents=True)
    cohort(args.images, args.cohort, folder)
    torch.set_num_threads(1)
    hilum.predict(args.run, args.images[:1], args.out / "warm", overlays=False, device="cpu")
    begun, cpu = time.perf_counter(), time.process_time()
    hilum.predict(args.run, folder, args.out / "plain", overlays=False, device="cpu")
    plain, plain_cpu = time.perf_counter() - begun, time.process_time() - cpu
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    calm = on_cluster(args.run, folder, args.out / "calm", None)
    killed = on_cluster(args.run, folder, args.out / "killed", args.cohort // 2)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    steady = calm["wall_s"] - calm["first_s"]
    row = {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
        "cohort": args.cohort,
        "plain_s": round(plain, 2),
        "plain_cpu_s": round(plain_cpu, 2),
        "calm": {key: round(value, 2) if isinstance(value, float) else value for key, value in calm.items()},
        "killed": {
            key: round(value, 2) if isinstance(value, float) else value for key, value in killed.items()
        },
        "plain_images_a_second": round(args.cohort / plain, 2),
        "cluster_images_a_second": round((args.cohort - 1) / steady, 2),
        "children_cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "calm_against_plain": apart(args.out / "plain", args.out / "calm"),
        "killed_against_plain": apart(args.out / "plain", args.out / "killed"),
        "cpus": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "machine": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("torch", "ray")},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as handle:
        handle.write(json.dumps(row) + "\n")
    print(
        f"| {args.cohort} images | plain {plain:.1f} s | two workers {calm['wall_s']:.1f} s, of which start "
        f"{calm['first_s']:.1f} s | one killed {killed['wall_s']:.1f} s, {killed['cases']} results | "
        f"{row['killed_against_plain']} |"
    )


if __name__ == "__main__":
    main()
