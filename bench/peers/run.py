"""One peer on one fold at budgets of CPU seconds: installed, trained, predicted, scored, recorded.

    python bench/peers/run.py PEER --data lung_flu|us_nerve|ct_nodule_slices --fold I --cpu 20 60 150 600 1500

Run it by Hilum's interpreter. Every peer gets the same arrays and its masks go through the same scorer; a row
a budget is appended to bench/results/peers.jsonl. See bench/peers/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data import FOLDERS, export, plan_splits
from environments import python_of
from score import score

from hilum.training.run import processor_name

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "peers.jsonl"


@dataclass(frozen=True)
class Peer:
    """How a peer is run: its environment (None: Hilum's own), its driver and switches."""

    environment: str | None
    driver: str
    flags: tuple[str, ...] = ()


PEERS = {
    "hilum": Peer(None, "hilum_itself"),
    "nnunet": Peer("nnunet", "nnunet"),
    "nnunet-256": Peer("nnunet", "nnunet", ("--reduced",)),
    "biapy": Peer("biapy", "biapy_resunet"),
    "monai": Peer("monai", "monai_unet"),
    "keras": Peer("keras", "keras_unet"),
    "forest": Peer("forest", "forest"),
}


def main() -> None:
    given = parse()
    work = given.work.absolute()
    data = Path(os.environ.get("HILUM_DATA", "../shared/data"))
    if given.plan_splits:
        plan_splits(given.data, data)
        return
    peer = PEERS[given.peer]
    fold = export(given.data, data, given.fold, work / "data")
    envs = (given.envs or work / "envs").absolute()
    python = (
        python_of(peer.environment, envs, given.torch_index) if peer.environment else Path(sys.executable)
    )
    out = work / "runs" / f"{given.peer}-{given.data}-{given.fold}-{given.seed}"
    flags = [*peer.flags, *(["--mirrored"] if given.mirrored else [])]
    command = [str(python), str(HERE / "drivers" / f"{peer.driver}.py"), str(fold), str(out)]
    command += ["--cpu", *map(str, given.cpu), "--seed", str(given.seed), *flags]
    command += ["--again"] if given.again else []
    command += ["--set", *given.settings] if given.settings else []
    (out / "report.json").unlink(missing_ok=True)
    code, peak = watched(command, out)
    rows = recorded(given, fold, out, peak)
    sys.exit(0 if code == 0 and rows else 1)


def parse() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("peer", choices=PEERS)
    arguments.add_argument("--data", choices=FOLDERS, required=True)
    arguments.add_argument("--fold", type=int, default=0)
    arguments.add_argument("--cpu", type=float, nargs="+", default=[20, 60, 150, 600, 1500])
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--work", type=Path, default=Path("peers-work"), help="folder of arrays and runs, kept"
    )
    arguments.add_argument("--envs", type=Path, help="folder of the environments (default WORK/envs)")
    arguments.add_argument("--torch-index", help="index that holds a CPU build of PyTorch")
    arguments.add_argument("--mirrored", action="store_true", help="nnU-Net: also predict with mirroring")
    arguments.add_argument("--set", nargs="*", default=[], dest="settings", help="settings of Hilum")
    arguments.add_argument(
        "--again", action="store_true", help="Hilum: predict by kept runs, not trained anew"
    )
    arguments.add_argument("--note", default="", help="what should be known of these rows")
    arguments.add_argument("--plan-splits", action="store_true", help="only write splits/DATA.json")
    return arguments.parse_args()


def watched(command: list[str], out: Path) -> tuple[int, int]:
    """Run a driver, its words into OUT/log.txt; its exit code and the peak memory of its tree in bytes."""
    out.mkdir(parents=True, exist_ok=True)
    peak = [0]
    with (out / "log.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        threading.Thread(target=_watch, args=(process, peak), daemon=True).start()
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            code = process.wait()
    if code:
        print(f"{out / 'log.txt'}: the driver ended with {code}", file=sys.stderr)
    return code, peak[0]


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], tree_bytes(process.pid))
        time.sleep(1)


def tree_bytes(pid: int) -> int:
    """Memory of a process and all below it; pages shared by several count once (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        children = Path(f"/proc/{pid}/task").glob("*/children")
        below = [int(child) for path in children for child in path.read_text().split()]
    except (OSError, StopIteration):
        return 0
    return own + sum(map(tree_bytes, below))


def recorded(given: argparse.Namespace, fold: Path, out: Path, peak: int) -> int:
    """Score every checkpoint that was reached and append its row; how many there are."""
    path = out / "report.json"
    if not path.is_file():
        return 0
    report = json.loads(path.read_text(encoding="utf-8"))
    checkpoints = report.pop("checkpoints")
    RESULTS.parent.mkdir(exist_ok=True)
    for found in checkpoints:
        row = {"date": datetime.now().isoformat(timespec="seconds"), "peer": given.peer, "data": given.data}
        row |= {"fold": given.fold, "seed": given.seed, **found, **report}
        row |= {"dice": score(fold, out / str(found.pop("folder"))), **machine(), "note": given.note}
        row |= {"peak_bytes": None if given.again else peak}
        row.pop("folder", None)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(line(row))
    return len(checkpoints)


def machine() -> dict[str, Any]:
    """What the figures depend on besides the software."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
    }


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    scores = "; ".join(
        f"{name} {dice['mean']:.3f} of {dice['cases']:.0f} (pooled {dice['pooled']:.3f})"
        for name, dice in row["dice"].items()
    )
    name = row["peer"] + (f" {row['variant']}" if row["variant"] else "")
    speeds = f"{row['train_mpx_per_cpu_s']:.3f} | {row['predict_mpx_per_cpu_s']:.3f}"
    return (
        f"| {name} | {row['data']} {row['fold']} | {row['budget_cpu_s']:g} | {row['cpu_s']:.0f} | "
        f"{row['steps']} | {scores} | {speeds} | "
        f"{(row['peak_bytes'] or 0) / 1e9:.1f} GB |"
    )


if __name__ == "__main__":
    main()
