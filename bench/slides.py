"""Huge images: pyramids of W x W pixels, tiled from real lung sections, predicted and measured on one core.

    taskset -c 1 python bench/slides.py --run RUN --out /tmp/slides --sizes 5000 10000 20000 30000
    taskset -c 1 python bench/slides.py --run RUN --out /tmp/slides --equal 3000 --kill 5000

Without --run a short training on the sections is done first (--cpu seconds). `--equal` compares the tables
of the prediction by blocks with those of the whole image; `--kill` kills a prediction with SIGKILL, goes on
with it and compares the tables with those of an undisturbed one. Reads `HILUM_DATA` (default
../shared/data), appends to bench/results/slides.jsonl and prints a row for bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results" / "slides.jsonl"
DATA = Path(os.environ.get("HILUM_DATA", "../shared/data")) / "lung_flu"
GLASS = 232
GAP = 320
INSIDE, OUTSIDE = 0.8, 0.03
TABLES = ("measurements.csv", "regions.csv")
HILUM = "from hilum.cli import main; main()"
# a whole image is what it was before: one array; only the limit decides
WHOLE = "import hilum.image.pyramid as p; p.WHOLE_PIXELS = 10**9; " + HILUM
BLOCKS = "import hilum.image.pyramid as p; p.WHOLE_PIXELS = 1; " + HILUM


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--run", type=Path, help="a run trained on the sections")
    arguments.add_argument(
        "--cpu", type=float, default=100.0, help="CPU seconds of the training without --run"
    )
    arguments.add_argument("--out", type=Path, default=Path("slides"), help="folder for slides and results")
    arguments.add_argument("--sizes", type=int, nargs="*", default=[])
    arguments.add_argument("--equal", type=int, help="compare with the whole image at this size")
    arguments.add_argument("--kill", type=int, help="kill and resume at this size")
    arguments.add_argument("--make", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.make:
        json.dump(made(given.out, given.make), sys.stdout)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    run = given.run or trained(given.out / "run", given.cpu)
    if given.equal:
        record(equality(run, given.out, given.equal))
    if given.kill:
        record(killed(run, given.out, given.kill))
    for size in given.sizes:
        record(growth(run, given.out, size))


def trained(out: Path, cpu_s: float) -> Path:
    settings = [f"training.cpu_s={cpu_s}", "training.threads=1"]
    words = ["train", str(DATA), "--out", str(out), "--fold", "0", "--splits", str(DATA / "splits.json")]
    for setting in settings:
        words += ["--set", setting]
    if not (out / "report.html").is_file():
        timed(words)
    return out


def slide(folder: Path, size: int) -> tuple[Path, dict[str, Any]]:
    """The slide of this size and what is told of it, from a process of its own.

    A child's peak memory counts from its parent's size at the fork, so this process stays small.
    """
    words = [sys.executable, __file__, "--make", str(size), "--out", str(folder)]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return Path(found.pop("path")), found


def made(folder: Path, size: int) -> dict[str, Any]:
    from hilum.training.run import package_versions, processor_name

    path = draw(folder, size)
    return {
        "path": str(path),
        "tissue_share": tissue_share(path),
        "processor": processor_name(),
        "versions": package_versions(),
    }


def draw(folder: Path, size: int) -> Path:
    """A pyramid of size x size pixels: sections, mirrored and brightened at random, with glass around."""
    from hilum.image.pyramid_writer import bands, start_writer
    from hilum.image.spacing import unknown_spacing

    path = folder / f"slide-{size}.ome.tif"
    if path.is_file():
        return path
    sections, rng = fields(), np.random.default_rng(size)
    tall, wide = sections[0].shape[0] + GAP, sections[0].shape[1] + GAP
    with start_writer(path, (size, size), unknown_spacing(2), codec="jpeg") as writer:
        for top, bottom in bands(size, tall):
            band = rng.normal(GLASS, 1.5, (bottom - top, size, 1)).clip(0, 255).astype(np.uint8).repeat(3, 2)
            for left in range(GAP // 2, size, wide):
                if rng.random() < chance((top + tall / 2) / size, (left + wide / 2) / size):
                    put(band, GAP // 2, left, varied(sections, rng))
            writer.push(band)
    return path


def chance(y: float, x: float) -> float:
    """How likely there is a section at a place, 0 to 1 along both sides: a large piece in the middle."""
    return INSIDE if ((y - 0.5) / 0.45) ** 2 + ((x - 0.5) / 0.4) ** 2 < 1 else OUTSIDE


def fields() -> list[NDArray[np.float32]]:
    """The sections (Y, X, 3) with their light made even, glass about 1."""
    from hilum.image.illumination import coarse_light, evenly_lit
    from hilum.image.readers import read_image

    even = []
    for path in sorted((DATA / "train" / "Original_0.2").iterdir()):
        array = read_image(path).array
        pixels = torch.from_numpy(array.astype(np.float32))
        even.append(np.moveaxis(evenly_lit(pixels, coarse_light(array)).numpy(), 0, -1))
    return even


def varied(sections: list[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.uint8]:
    field = sections[int(rng.integers(len(sections)))]
    field = field[:: int(rng.choice([1, -1])), :: int(rng.choice([1, -1]))]
    return np.asarray((field * GLASS * rng.uniform(0.94, 1.04)).clip(0, 255), np.uint8)


def put(band: NDArray[np.uint8], top: int, left: int, field: NDArray[np.uint8]) -> None:
    room = band[top : top + field.shape[0], left : left + field.shape[1]]
    room[:] = field[: room.shape[0], : room.shape[1]]


def timed(words: list[str], code: str = HILUM, kill_s: float | None = None) -> dict[str, float]:
    """A command line in a process of its own: wall and CPU seconds, peak memory in MB, exit code."""
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment, stdout=subprocess.DEVNULL
    )
    if kill_s is not None:
        time.sleep(kill_s)
        os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and kill_s is None:
        raise SystemExit(f"hilum {' '.join(words)} ended with {process.returncode}")
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "exit": process.returncode,
    }


def predict_words(run: Path, image: Path, out: Path, *more: str) -> list[str]:
    return ["predict", str(run), str(image), "--out", str(out), "--device", "cpu", *more]


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def tables(out: Path) -> dict[str, str]:
    return {name: hashlib.blake2b((out / name).read_bytes(), digest_size=8).hexdigest() for name in TABLES}


def growth(run: Path, folder: Path, size: int) -> dict[str, Any]:
    """Prediction and measurement of one size."""
    (image, told), out = slide(folder, size), fresh(folder / f"predicted-{size}")
    predicted = timed(predict_words(run, image, out))
    masks = [str(path) for path in sorted((out / "masks").iterdir())]
    measured = timed(["measure", *masks, "--out", str(fresh(folder / f"measured-{size}"))])
    rows = (out / "regions.csv").read_text().count("\n") - 1
    again = (folder / f"measured-{size}" / "regions.csv").read_text().count("\n") - 1
    return {
        "kind": "growth",
        "size": size,
        "megapixels": size * size / 1e6,
        **told,
        "predict": predicted,
        "measure": measured,
        "regions": rows,
        "regions_measured": again,
        "mp_per_s": size * size / 1e6 / predicted["wall_s"],
        "mp_per_cpu_s": size * size / 1e6 / predicted["cpu_s"],
    }


def tissue_share(image: Path) -> float:
    from hilum.image.pyramid import open_pyramid
    from hilum.image.thumbnail import thumbnail, tissue_mask

    with open_pyramid(image) as pyramid:
        return float(tissue_mask(thumbnail(pyramid), 255).mean())


def equality(run: Path, folder: Path, size: int) -> dict[str, Any]:
    """Tables by blocks, with and without glass left out, and of the whole image."""
    image, told = slide(folder, size)
    whole, by_blocks = fresh(folder / f"whole-{size}"), fresh(folder / f"blocks-{size}")
    one = timed(predict_words(run, image, whole), WHOLE)
    other = timed(predict_words(run, image, by_blocks), BLOCKS)
    return {
        "kind": "equality",
        "size": size,
        "equal": tables(whole) == tables(by_blocks),
        "regions": (whole / "regions.csv").read_text().count("\n") - 1,
        **told,
        "whole": one,
        "blocks": other,
    }


def killed(run: Path, folder: Path, size: int) -> dict[str, Any]:
    """A prediction killed in the middle and gone on with, against one that was left alone."""
    image, told = slide(folder, size)
    alone, broken = fresh(folder / f"alone-{size}"), fresh(folder / f"killed-{size}")
    undisturbed = timed(predict_words(run, image, alone))
    first = timed(predict_words(run, image, broken), kill_s=undisturbed["wall_s"] / 2)
    kept = len(list(broken.rglob(".blocks/*/cells/*.npz")))
    second = timed(predict_words(run, image, broken, "--resume"))
    return {
        "kind": "kill",
        "size": size,
        "equal": tables(alone) == tables(broken),
        **told,
        "blocks_kept": kept,
        "undisturbed": undisturbed,
        "killed": first,
        "resumed": second,
        "left_behind": [path.name for path in broken.rglob(".*")],
    }


def record(found: dict[str, Any]) -> None:
    """Append to the results and print a table row."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    size = found["size"]
    if found["kind"] == "growth":
        predicted, measured = found["predict"], found["measure"]
        print(
            f"| {size} x {size} | {found['tissue_share']:.0%} | {predicted['wall_s']:.0f} | "
            f"{predicted['cpu_s']:.0f} | {found['mp_per_s']:.2f} | {predicted['peak_mb']:.0f} | "
            f"{measured['wall_s']:.0f} | {measured['peak_mb']:.0f} | {found['regions']} |",
            flush=True,
        )
    else:
        print(f"| {found['kind']} {size} x {size} | equal tables: {found['equal']} |", flush=True)


if __name__ == "__main__":
    main()
