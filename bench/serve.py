"""Loads a real service on loopback: requests a second, seconds a request, memory; bad uploads among them.

    python bench/serve.py RUN IMAGE... --requests 400 --clients 4

The service is a process of its own (`hilum serve RUN --port 0`). Appends one line to
`bench/results/serve.jsonl` and prints the row of a table.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

RESULTS = Path(__file__).parent / "results" / "serve.jsonl"
START = "import sys; from hilum.cli import main; sys.argv[0] = 'hilum'; main()"
WARM = 20
MOST_MB = 20


def started(run: Path, batch: int) -> tuple[subprocess.Popen[str], str]:
    words = ["serve", str(run), "--port", "0", "--limit-mb", str(MOST_MB), "--batch", str(batch)]
    command = [sys.executable, "-c", START, *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"at (http://\S+),", line):
            return process, found[1]
    raise SystemExit("the service did not start")


def timed(url: str, content: bytes, name: str) -> tuple[int, float]:
    begun = time.perf_counter()
    answer = httpx.post(f"{url}/predict", files={"file": (name, content)}, timeout=120)
    return answer.status_code, time.perf_counter() - begun


def bad(url: str, image: bytes) -> dict[str, Any]:
    """Uploads that have to be refused: what came of each kind."""
    cut, text = image[: len(image) // 3], b"no image at all"
    large = b"0" * (MOST_MB * 1_000_000 + 200_000)
    found: dict[str, list[int]] = {"cut": [], "text": [], "empty": [], "oversized": []}
    for kind, content in (("cut", cut), ("text", text), ("empty", b""), ("oversized", large)):
        for _ in range(10):
            try:
                found[kind].append(timed(url, content, "a.png")[0])
            except httpx.WriteError:  # answered and closed before all was sent
                found[kind].append(413)
    return {kind: sorted(set(codes)) for kind, codes in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    contents = [(path.name, path.read_bytes()) for path in args.images]
    process, url = started(args.run, args.batch)
    try:
        for name, content in (contents * WARM)[:WARM]:
            timed(url, content, name)
        memory, service = [], psutil.Process(process.pid)
        wanted = [contents[number % len(contents)] for number in range(args.requests)]
        begun, cpu = time.perf_counter(), sum(service.cpu_times()[:2])
        codes, seconds = [], []
        with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
            for at in range(0, args.requests, 50):
                part = list(pool.map(lambda one: timed(url, one[1], one[0]), wanted[at : at + 50]))
                codes += [code for code, _ in part]
                seconds += [spent for _, spent in part]
                memory.append(service.memory_info().rss / 1e6)
        wall, cpu = time.perf_counter() - begun, sum(service.cpu_times()[:2]) - cpu
        refused = bad(url, contents[0][1])
        after = timed(url, contents[0][1], contents[0][0])[0]
        row = {
            "when": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": " ".join(["python", *sys.argv]),
            "requests": args.requests,
            "clients": args.clients,
            "ok": codes.count(200),
            "others": {str(code): codes.count(code) for code in set(codes) - {200}},
            "requests_a_second": round(args.requests / wall, 2),
            "cpu_s_a_request": round(cpu / args.requests, 4),
            "median_s": round(float(np.median(seconds)), 4),
            "p95_s": round(float(np.percentile(seconds, 95)), 4),
            "memory_mb": [round(value, 1) for value in memory],
            "refused": refused,
            "alive_after": after == 200,
            "load": round(os.getloadavg()[0], 2),
            "machine": platform.processor() or platform.machine(),
            "versions": {name: version(name) for name in ("torch", "fastapi", "uvicorn")},
        }
    finally:
        process.terminate()
        process.wait(30)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as handle:
        handle.write(json.dumps(row) + "\n")
    print(
        f"| {row['requests']} requests, {row['clients']} clients | {row['requests_a_second']} a second | "
        f"{row['median_s']} s | {row['p95_s']} s | {memory[0]:.0f} to {memory[-1]:.0f} MB | {refused} |"
    )


if __name__ == "__main__":
    main()
