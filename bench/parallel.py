"""Trains by two processes together (gloo on loopback) and by one, with several seeds; compares the scores.

    python bench/parallel.py STUDY --steps 100 --seeds 0 1 --out /tmp/parallel

The noise is the spread over seeds. Appends one line to `bench/results/parallel.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "parallel.jsonl"
START = "import sys; from hilum.cli import main; sys.argv[0] = 'hilum'; main()"


def trained(words: list[str], processes: int, out: Path) -> dict[str, Any]:
    """One training: mean Dice of each target, and its seconds."""
    script = out.parent / "start.py"
    script.write_text(START)
    shutil.rmtree(out, ignore_errors=True)
    many = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    start = [
        sys.executable,
        *(many if processes > 1 else []),
        str(script),
        "train",
        *words,
        "--out",
        str(out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    begun = time.perf_counter()
    subprocess.run(start, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    summary = json.loads((out / "evaluation" / "summary.json").read_text())
    dice = {name: round(found["dice"]["mean"], 4) for name, found in summary["targets"].items()}
    return {"dice": dice, "wall_s": round(time.perf_counter() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    words = [str(args.study), "--steps", str(args.steps), "--folds", "2", "--fold", "0", "--device", "cpu"]
    words += [word for setting in args.settings for word in ("--set", setting)]
    found = {
        f"{count} process{'es' if count > 1 else ''}": [
            trained([*words, "--set", f"training.seed={seed}"], count, args.out / f"{count}-{seed}")
            for seed in args.seeds
        ]
        for count in (1, 2)
    }
    row = {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
        "found": found,
        "load": round(os.getloadavg()[0], 2),
        "machine": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("torch", "lightning-fabric")},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as handle:
        handle.write(json.dumps(row) + "\n")
    for count, runs in found.items():
        print(
            f"| {count} | {'; '.join(str(one['dice']) for one in runs)} | {[r['wall_s'] for r in runs]} s |"
        )


if __name__ == "__main__":
    main()
