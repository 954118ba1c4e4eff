"""Measures the studio: painting, first view, memory, kills, and what its choice of images is worth.

    python bench/studio.py latency --out /tmp/studio        painting at 2,000 x 2,000, moving at 5,000 x 5,000
    python bench/studio.py first --out /tmp/studio          first view of a study of 60 images
    python bench/studio.py memory --out /tmp/studio         memory of the server over 500 image switches
    python bench/studio.py kills --kills 10 --out /tmp/studio
    python bench/studio.py learning ../shared/data/lung_flu --minutes 2 --out /tmp/studio
    python bench/studio.py pictures --out DIR               of docs/studio.md, from the demos in DIR/KIND

Needs Chromium and the extra hilum[studio] with playwright. Each result is a line of results/studio.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import numpy as np

from hilum.training.run import processor_name

RESULTS = Path(__file__).parent / "results" / "studio.jsonl"
QUICK = ("training.threads=1", "model.settings.width=4", "scoring.bootstrap=50")


def record(what: str, **found: Any) -> None:
    """Append a row and print it."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    row = {"what": what, "date": now, "command": _command(), "machine": processor_name(), **found}
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(row) + "\n")
    shown = ", ".join(f"{key} {value}" for key, value in found.items() if not isinstance(value, list))
    print(f"| {now[:10]} | `{_command()}` | {what}: {shown} |")


def _command() -> str:
    """The command line without the machine's own folders."""
    words = [
        "OUT" if before == "--out" else word for before, word in zip(sys.argv, sys.argv[1:], strict=False)
    ]
    return " ".join(["python bench/studio.py", *words])


@contextlib.contextmanager
def studio(folder: Path, runs: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The studio in its own process: its address with the token, and the process."""
    words = ["studio", str(folder), "--no-browser", "--runs", str(runs)]
    command = [sys.executable, "-c", "from hilum.cli import main; main()", *words]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    if process.stdout is None:
        raise SystemExit("the studio has no output")
    try:
        told = []
        for line in iter(process.stdout.readline, ""):
            told.append(line)
            if match := re.search(r"http://\S+token=\S+", line):
                break
        else:
            raise SystemExit(f"the studio did not start:\n{''.join(told)}")
        yield match[0], process
    finally:
        process.terminate()
        process.wait(timeout=180)


@contextlib.contextmanager
def page_at(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        page.goto(address)
        yield page
        browser.close()


class Client:
    """Speaks to the studio as its page does."""

    def __init__(self, address: str) -> None:
        self.base = address.partition("?")[0]
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.opener.open(address).read()

    def get(self, path: str) -> bytes:
        """What an address answers."""
        return bytes(self.opener.open(self.base + path).read())

    def post(self, path: str, content: bytes = b"") -> bytes:
        """What an address answers to this content."""
        kind = {"Content-Type": "application/octet-stream"}
        return bytes(self.opener.open(urllib.request.Request(self.base + path, content, kind)).read())


def large_study(out: Path, side: int, cases: int = 1) -> Path:
    """Images of noise over large spots, with a mask of one disc each."""
    from hilum.image.image import Image
    from hilum.image.writers import write_image, write_mask

    shutil.rmtree(out, ignore_errors=True)
    rows, columns = np.ogrid[:side, :side]
    for k in range(cases):
        noise = np.random.default_rng(k).integers(0, 60, (3, side, side), dtype=np.uint8)
        spots = (60 + 60 * np.sin(rows / 97) * np.cos(columns / (71 + k))).astype(np.uint8)
        write_image(out / f"images/{k}.png", Image(noise + spots))
        write_mask(
            out / f"masks/{k}.png", (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 5) ** 2
        )
    return out


def latency(out: Path) -> None:
    """Mouse event to painted pixel, and frames a second while a large image is moved."""
    folder = large_study(out / "two", 2000)
    with studio(folder, out / "two-runs") as (address, _), page_at(address) as page:
        page.goto(address.partition("?")[0] + "paint")
        page.wait_for_function(
            "window.hilumViewer?.info && hilumViewer.masks.size && hilumViewer.bitmaps.size"
        )
        page.wait_for_timeout(1500)
        for size in (10, 40, 150):
            page.keyboard.press("b")
            page.evaluate(f"hilumViewer.resize({size}); hilumViewer.latency.length = 0")
            box = page.locator("canvas.stage").bounding_box()
            for line in range(5):
                page.mouse.move(box["x"] + 200, box["y"] + 100 + 100 * line)
                page.mouse.down()
                for k in range(50):
                    page.mouse.move(box["x"] + 200 + 8 * k, box["y"] + 100 + 100 * line + (k % 7) * 6)
                page.mouse.up()
            times = page.evaluate("hilumViewer.latency")
            high = float(np.percentile(times, 95))
            found = {
                "median_ms": round(statistics.median(times), 2),
                "p95_ms": round(high, 2),
                "events": len(times),
            }
            record("painting latency", image="2000 x 2000", brush_px=size, **found, load=os.getloadavg()[0])
    folder = large_study(out / "five", 5000)
    with studio(folder, out / "five-runs") as (address, _), page_at(address) as page:
        page.goto(address.partition("?")[0] + "paint")
        page.wait_for_function(
            "window.hilumViewer?.info && hilumViewer.masks.size && hilumViewer.bitmaps.size"
        )
        page.wait_for_timeout(3000)
        for scale, name in ((None, "whole image"), (1, "1:1")):
            page.evaluate(f"hilumViewer.zoomTo({scale})" if scale else "hilumViewer.fit()")
            page.wait_for_timeout(2500)
            drawn = page.evaluate(DRAWN)
            times = {
                "median_ms": round(statistics.median(drawn), 2),
                "p95_ms": round(np.percentile(drawn, 95), 2),
            }
            record("drawing a moved image", image="5000 x 5000", at=name, **times, load=os.getloadavg()[0])


DRAWN = """new Promise(done => {
    const times = [];
    const step = () => {
        const began = performance.now();
        hilumViewer.view.x += 7; hilumViewer.draw(); times.push(performance.now() - began);
        times.length < 120 ? requestAnimationFrame(step) : done(times);
    };
    step();
})"""


def first(out: Path) -> None:
    """From opening the address to the last picture in sight, of a study of 60 images."""
    from hilum.phantoms.make import make_phantom

    folder = out / "sixty"
    if not folder.is_dir():
        make_phantom("histology", folder, cases=60, size=(480, 640))
    with studio(folder, out / "sixty-runs") as (address, _):
        for trial in range(3):
            with page_at("about:blank") as page:
                began = time.perf_counter()
                page.goto(address)
                page.wait_for_selector(".tile")
                listed = time.perf_counter() - began
                page.wait_for_function(SEEN)
                seen = time.perf_counter() - began
                found = {"listed_s": round(listed, 2), "pictures_s": round(seen, 2)}
                record("first view of 60 images", trial=trial, **found, load=os.getloadavg()[0])


SEEN = """[...document.querySelectorAll('.tile img')].filter(i => i.getBoundingClientRect().top < innerHeight)
    .every(i => i.naturalWidth > 0)"""


def memory(out: Path, switches: int) -> None:
    """Memory of the server while images are opened one after the other, each with tiles and a mask."""
    folder = large_study(out / "many", 1200, 12)
    with studio(folder, out / "many-runs") as (address, process):
        client = Client(address)
        seen = []
        for k in range(switches):
            case = k % 12
            client.get(f"api/case?case={case}")
            for row in range(3):
                client.get(f"api/tile?case={case}&level=0&row={row}&column=1")
            client.get(f"api/mask?case={case}&target=target")
            if k % 50 == 49:
                seen.append(resident_mb(process.pid))
        found = {"after_100_mb": seen[1], "after_all_mb": seen[-1], "highest_mb": max(seen)}
        record("memory of the server", switches=switches, **found, every_50=seen)


def resident_mb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


def kills(out: Path, count: int) -> None:
    """Kill -9 the server at random while it paints: every stroke that was answered must be in the file."""
    from hilum.image.readers import read_image
    from hilum.studio.spans import spans_of, to_bytes, toggled

    folder, rng = large_study(out / "killed", 300), random.Random(0)
    lost = wrong = strokes = 0
    for trial in range(count):
        truth = read_image(folder / "masks/0.png").array[0] > 0
        after, pending = truth.copy(), None
        with studio(folder, out / "killed-runs") as (address, process):
            client = Client(address)
            until = time.perf_counter() + rng.uniform(0.2, 4)
            version = 0
            while time.perf_counter() < until:
                mask = np.zeros(truth.shape, bool)
                y, x = rng.randrange(280), rng.randrange(280)
                mask[y : y + 20, x : x + 20] = True
                where = f"case=0&target=target&version={version}&key={trial}-{version}"
                pending = toggled(after, spans_of(mask))
                version = json.loads(client.post(f"api/stroke?{where}", to_bytes(spans_of(mask))))["version"]
                after, pending = pending, None
                strokes += 1
            process.kill()
        with studio(folder, out / "killed-runs"):
            pass
        found = read_image(folder / "masks/0.png").array[0] > 0
        lost += not np.array_equal(found, after)
        wrong += len(np.unique(read_image(folder / "masks/0.png").array)) > 2
    record(
        "kill -9 while painting", kills=count, strokes=strokes, with_strokes_lost=lost, masks_damaged=wrong
    )
    training_kill(out)


def answered_version(answer: bytes) -> int:
    return int(json.loads(answer)["version"])


def training_kill(out: Path) -> None:
    """Kill -9 the server while it trains: the training goes on, and the next studio shows its end."""
    from hilum.phantoms.make import make_phantom
    from hilum.studio import jobs
    from hilum.studio.rounds import all_rounds

    folder, runs = out / "trained", out / "trained-runs"
    for path in (folder, runs):
        shutil.rmtree(path, ignore_errors=True)
    make_phantom("histology", folder, cases=6, size=(96, 128))
    script = (
        "import sys, time; from pathlib import Path; from hilum.studio.desk import open_desk; "
        "from hilum.studio.training import begin_round; "
        f"begin_round(open_desk(Path({str(folder)!r}), Path({str(runs)!r})), steps=60, settings={QUICK!r}); "
        "time.sleep(600)"
    )
    server = subprocess.Popen([sys.executable, "-c", script])
    while not jobs.status(runs, "train").rows:
        time.sleep(0.2)
    server.kill()
    server.wait()
    before = len(jobs.status(runs, "train").rows)
    while jobs.status(runs, "train").state == "running":
        time.sleep(0.5)
    found = jobs.status(runs, "train")
    states = [one.state for one in all_rounds(runs)]
    told = {"steps_told_at_kill": before, "steps_told_at_end": len(found.rows)}
    record("kill -9 of the server while training", job=found.state, rounds=" ".join(states), **told)


SHOTS = (
    ("histology", "", "images", ".tile img", ""),
    ("histology", "paint", "paint", "canvas.stage", "2xb"),
    ("histology", "paint", "look", "canvas.stage", "2tg"),
    ("histology", "train", "train", "[data-round] .figure", ""),
    ("histology", "results", "results", "#measurements tbody tr", ""),
    ("xray", "results", "roc", ".roc .point", ""),
    ("ct", "paint", "ct", ".marks .jump", "click"),
    ("ct", "paint", "planes", ".marks .jump", "v"),
)


def pictures(out: Path, docs: Path) -> None:
    """Pictures of docs/studio.md, of phantoms that `hilum demo --kind KIND --out OUT/KIND` made."""
    from PIL import Image

    for kind in dict.fromkeys(shot[0] for shot in SHOTS):
        with studio(out / kind / "study", out / kind) as (address, _), page_at(address) as page:
            for _, path, name, seen, keys in (shot for shot in SHOTS if shot[0] == kind):
                page.goto(address.partition("?")[0] + path)
                page.wait_for_selector(seen)
                page.wait_for_timeout(3000)
                if keys == "click":
                    page.locator(seen).first.click()
                for key in keys if keys != "click" else "":
                    page.keyboard.press(key)
                if "g" in keys:
                    page.wait_for_function("hilumViewer.explanations.size > 0")
                if "v" in keys:
                    page.evaluate("hilumViewer.jump(hilumViewer.info.marks[0])")
                page.wait_for_timeout(3000)
                page.evaluate("document.querySelector('.top .study').textContent = 'my_images'")
                page.screenshot(path=out / f"{name}.png")
                picture = Image.open(out / f"{name}.png").convert("RGB").resize((1120, 700))
                picture.save(docs / f"studio-{name}.jpg", quality=80)


def learning(data: Path, out: Path, minutes: float | None, steps: int | None, seeds: int, most: int) -> None:
    """Dice by number of annotated images: the next one chosen by the studio, against chosen at random."""
    for seed in range(seeds):
        for how in ("studio", "random"):
            chosen_by(data, out / f"learning-{seed}-{how}", how, seed, minutes, steps, most)


def chosen_by(
    data: Path, out: Path, how: str, seed: int, minutes: float | None, steps: int | None, most: int
) -> None:
    """One way through the images, from 4 to `most`; the first four are the same for both ways."""
    from hilum.study.open import open_study

    study = open_study(data)
    rng = random.Random(seed)
    groups = sorted(study.groups)
    rng.shuffle(groups)
    held = set(groups[: max(2, len(groups) // 3)])
    test = [case for case in study.cases if case.group in held]
    pool = [case for case in study.cases if case.group not in held]
    rng.shuffle(pool)
    chosen, left = pool[:4], pool[4:]
    while len(chosen) <= most:
        run = trained(study, out, chosen, test, minutes, steps, seed)
        scores = dice_by_target(run)
        record("learning", how=how, seed=seed, images=len(chosen), **scores, chosen=[c.name for c in chosen])
        if not left or len(chosen) == most:
            break
        name = next_by_studio(study, out, run, chosen, left) if how == "studio" else rng.choice(left).name
        chosen = [*chosen, next(case for case in left if case.name == name)]
        left = [case for case in left if case.name != name]


def trained(
    study: Any,
    out: Path,
    chosen: Sequence[Any],
    test: Sequence[Any],
    minutes: float | None,
    steps: int | None,
    seed: int,
) -> Path:
    import hilum

    splits = {"by": "case", "reason": "bench", "held_out": []}
    fold = {"train": [case.name for case in chosen], "test": [case.name for case in test]}
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"splits-{len(chosen)}.json"
    path.write_text(json.dumps({**splits, "folds": [fold]}))
    run = out / f"run-{len(chosen)}"
    shutil.rmtree(run, ignore_errors=True)
    settings = (f"training.seed={seed}",)
    hilum.train(
        study.root, run, minutes=None if steps else minutes, steps=steps, splits=path, settings=settings
    )
    return run


def dice_by_target(run: Path) -> dict[str, float]:
    from hilum.studio.rounds import case_scores
    from hilum.training.run import Run

    found: dict[str, list[float]] = {}
    for of in case_scores(Run(run)).values():
        for target, value in of.items():
            found.setdefault(target, []).append(value)
    return {target: round(statistics.fmean(values), 4) for target, values in found.items()}


def next_by_studio(study: Any, out: Path, run: Path, chosen: Sequence[Any], left: Sequence[Any]) -> str:
    """What the studio ranks first, shown the chosen images with masks and the others without."""
    from hilum.studio.ranking import rank_folder

    folder = out / "shown"
    shutil.rmtree(folder, ignore_errors=True)
    for case in [*chosen, *left]:
        copied(study.root, folder, case.image.path)
    for case in chosen:
        for mask in case.masks.values():
            copied(study.root, folder, mask.sources[0].path)
    names: dict[str, str] = {case.image.path.stem: case.name for case in left}
    first = next(one for one in rank_folder(folder, run) if one.place == 1)
    return names[first.case.rpartition("/")[2]]


def copied(root: Path, folder: Path, path: Path) -> None:
    new = folder / path.relative_to(root)
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, new)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["latency", "first", "memory", "kills", "learning", "pictures"])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--switches", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=8)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    match given.what:
        case "latency":
            latency(given.out)
        case "first":
            first(given.out)
        case "memory":
            memory(given.out, given.switches)
        case "kills":
            kills(given.out, given.kills)
        case "pictures":
            pictures(given.out, Path(__file__).parents[1] / "docs" / "pictures")
        case _:
            if given.data is None:
                parser.error("learning needs the folder of a study, such as ../shared/data/lung_flu")
            learning(given.data, given.out, given.minutes, given.steps, given.seeds, given.most)


if __name__ == "__main__":
    main()
