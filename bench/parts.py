"""Each part of the engine measured alone against its limit: a row each in bench/results/parts.jsonl.

    python bench/parts.py [NAME ...] [--compile] [--seconds 1]

NAME is one of convolutions, loop, augmentation, decoding, prediction, backends, startup; all of them where
none is named, in about two CPU minutes (`--compile` adds torch.compile, whose compiler takes a minute more).
Works on `lung_flu` below `HILUM_DATA` (default ../shared/data), as planned for it. Times are CPU seconds of
this process, so that other work on the machine matters less.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import hilum
from hilum.image.readers import read_image
from hilum.inference.engines import ENGINES
from hilum.inference.predictor import enlarged, make_predictor, quantised
from hilum.planning.plan import Plan
from hilum.study.masks import read_case_image
from hilum.study.open import understand
from hilum.study.study import Study
from hilum.training.batches import Batch, draw_batch
from hilum.training.gather import gather_samples
from hilum.training.loop import Trainer, make_fabric
from hilum.training.losses import Wanted
from hilum.training.optimisation import EVERY
from hilum.training.prepare import prepare_image
from hilum.training.run import make_network, package_versions, processor_name
from hilum.training.samples import Sample
from parts_beside import eager, engines, kornia_moves, monai_moves, torchio_moves

RESULTS = Path(__file__).parent / "results" / "parts.jsonl"
CASES = 4
WARM_STEPS = 30
LOOP_PAIRS = 40
ALL_STEPS = 10_000
SECONDS = [1.0]


@dataclass(frozen=True)
class Row:
    """One figure: what was reached, and what it is held against."""

    part: str
    figure: float
    unit: str
    limit: float | None = None
    against: str = ""
    note: str = ""


@dataclass(frozen=True)
class Subject:
    """What all parts work on: a plan, decoded samples, a trainer that has taken a few steps."""

    study: Study
    plan: Plan
    samples: list[Sample]
    trainer: Trainer


def cpu_s(call: Callable[[], object], repeats: int = 3) -> float:
    """The median of the CPU seconds that a call takes, of three calls at least and for about a second."""
    call()
    taken: list[float] = []
    while len(taken) < repeats or sum(taken) < SECONDS[0]:
        taken.append(cpu_s_once(call))
    return statistics.median(taken)


def in_turn(one: Callable[[], object], other: Callable[[], object], pairs: int) -> tuple[float, float]:
    """Medians of the CPU seconds of two calls made in turn, so that a machine that slows down slows both."""
    taken = [(cpu_s_once(one), cpu_s_once(other)) for _ in range(pairs)]
    first, second = zip(*taken, strict=True)
    return statistics.median(first), statistics.median(second)


def times(count: int, call: Callable[[], object]) -> None:
    """Call again and again."""
    for _ in range(count):
        call()


def cpu_s_once(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


@cache
def subject() -> Subject:
    """The planned training of the lung sections, 30 steps old."""
    folder = Path(os.environ.get("HILUM_DATA", "../shared/data")) / "lung_flu"
    study, plan = understand(folder), hilum.plan(folder)
    gathered = gather_samples(study.cases[:CASES], plan)
    samples = [sample for found in gathered.values() for sample in found]
    network = make_network(plan)
    trainer = Trainer(network, plan, samples, 0, make_fabric(plan), torch.ones(len(plan.data.outputs)))
    for step in range(WARM_STEPS):
        trainer.step(step, WARM_STEPS)
    return Subject(study, plan, samples, trainer)


def half(plan: Plan) -> torch.dtype:
    """The type that the network computes in."""
    return torch.bfloat16 if plan.training.precision == "bf16-mixed" else torch.float32


def forward_backward(one: Subject, batch: Batch) -> Callable[[], None]:
    """The network, its loss and its gradients, on one batch: what cannot be done without."""
    trainer = one.trainer

    def run() -> None:
        logits = trainer._wrapped(batch.x).float()
        wanted = Wanted(batch.y, batch.known, batch.weight, trainer.classes, one.plan.model.activation)
        trainer.weights.clear_gradients()
        trainer.fabric.backward(trainer.loss(logits, wanted))

    return run


def convolutions() -> Iterator[Row]:
    """Operations a second reached in a training step, against a bare matrix product of the same type."""
    one = subject()
    batch = draw_batch(one.samples, one.plan.training, 0, 0)
    step = forward_backward(one, batch)
    with FlopCounterMode(display=False) as counter:
        one.trainer.network(batch.x).sum().backward()
    reached = counter.get_total_flops() / cpu_s(step) / 1e9
    side, kind = 1024, half(one.plan)
    a, b = torch.randn(side, side, dtype=kind), torch.randn(side, side, dtype=kind)
    product = 2 * side**3 / cpu_s(lambda: a @ b, 20) / 1e9
    name = str(kind).removeprefix("torch.")
    yield Row("convolutions in training", reached, "GFLOP/s", product, f"{side} x {side} {name} product")


def loop() -> Iterator[Row]:
    """Where a step's time goes besides the network."""
    one = subject()
    trainer, settings = one.trainer, one.plan.training
    batch = draw_batch(one.samples, settings, 0, 0)
    steps = itertools.count(WARM_STEPS)
    # As many steps at a time as the average of the weights takes in at once.
    whole, network = in_turn(
        partial(times, EVERY, lambda: trainer.step(next(steps), ALL_STEPS)),
        partial(times, EVERY, forward_backward(one, batch)),
        LOOP_PAIRS,
    )
    whole, network = whole / EVERY, network / EVERY
    drawing = cpu_s(lambda: draw_batch(one.samples, settings, 0, 1), 8)
    trainer.weights.take_gradients()
    moving = cpu_s(lambda: trainer._stepper.step(), 8)
    update = partial(times, EVERY, lambda: trainer.average.update(trainer.network, next(steps)))
    averaging = cpu_s(update, 8) / EVERY
    yield Row("loop outside the network", 1 - network / whole, "share", 0.15, "the most allowed")
    for name, taken in (
        ("drawing a batch", drawing),
        ("optimiser", moving),
        ("average of weights", averaging),
    ):
        yield Row(name, taken * 1000, "ms a step", whole * 1000, "the whole step")


def augmentation() -> Iterator[Row]:
    """Augmented crops a second against MONAI, and TorchIO and kornia where they are installed."""
    one = subject()
    settings = one.plan.training
    ours = settings.batch / cpu_s(lambda: draw_batch(one.samples, settings, 0, 2), 8)
    channels = one.samples[0].channels
    image = one.samples[0].stack[:channels].contiguous()
    masks = one.samples[0].stack[channels:].contiguous()
    for name, make in (("MONAI", monai_moves), ("TorchIO", torchio_moves), ("kornia", kornia_moves)):
        if importlib.util.find_spec(name.lower()) is None:
            continue
        theirs = 1 / cpu_s(make(image, masks, settings.patch), 8)
        note = "a crop of image and masks: turned, zoomed, mirrored, contrast and brightness changed"
        yield Row("augmentation", ours, "crops/s", theirs, f"{name}, like moves, crop by crop", note)


def decoding() -> Iterator[Row]:
    """Megapixels a second from file to checked array, against the bare decoder."""
    from PIL import Image as Pillow

    case = subject().study.cases[0]
    pixels = read_image(case.image.path).array[0].size / 1e6
    ours = pixels / cpu_s(lambda: read_case_image(case))
    bare = pixels / cpu_s(lambda: np.asarray(Pillow.open(case.image.path)))
    yield Row("decoding", ours, "Mpx/s", bare, f"Pillow alone, {case.image.path.suffix}")


def prediction() -> Iterator[Row]:
    """Megapixels a second of whole predictions, against the bare network on the same pixels."""
    one = subject()
    predictor = make_predictor([one.trainer.average.network], one.plan)
    image = read_case_image(one.study.cases[0])
    x = one.samples[0].stack[: one.samples[0].channels]
    given, network = padded(x, one), predictor.networks[0]

    def bare() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, half(one.plan) == torch.bfloat16):
            network(given)

    def tiles() -> None:
        big = one.plan.model_copy(deep=True)
        big.inference.tile = [256, 256]
        make_predictor(predictor.networks, big).prepared(x)

    full = image.array[0].size / 1e6
    limit, unit = full / cpu_s(bare), "Mpx/s of full resolution"
    flips = one.plan.inference.flips
    against, note = "the bare network, once", f"mirrored along {', '.join(flips) or 'nothing'}"
    kept = quantised(predictor.prepared(x))
    calls: dict[str, Callable[[], object]] = {
        "prediction of one prepared image": lambda: predictor.prepared(x),
        "the same in tiles of 256 working pixels": tiles,
        "preparing it": lambda: prepare_image(image, one.plan.data),
        "enlarging its probabilities": lambda: enlarged(kept, image.shape),
        "from array to full-size probabilities": lambda: enlarged(
            quantised(predictor.image(image)), image.shape
        ),
    }
    for name, engine in ENGINES.items() if importlib.util.find_spec("openvino") else ():
        began = time.process_time()
        other = make_predictor([engine(predictor.networks[0], one.plan)], one.plan)
        yield Row(f"{name}: making a network ready", time.process_time() - began, "CPU s")
        calls[f"{name}: prediction of one prepared image"] = partial(other.prepared, x)
    for name, call in calls.items():
        yield Row(name, full / cpu_s(call), unit, limit, against, note)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Row("peak memory of this process", peak, "MiB", note="one image, all parts so far")


def padded(x: Tensor, one: Subject) -> Tensor:
    """A prepared image as one batch, its sides cut to what the network divides."""
    divisor = int(getattr(one.trainer.network, "divisor", 1))
    sides = [side // divisor * divisor for side in x.shape[1:]]
    return x[None, :, : sides[0], : sides[1]].contiguous(memory_format=torch.channels_last)


def backends(compiled: bool = False) -> Iterator[Row]:
    """Engines for prediction: working megapixels a second, and how far their answers lie off float32."""
    subject.cache_clear()  # the other parts have moved its weights at will
    one = subject()
    x = padded(one.samples[0].stack[: one.samples[0].channels], one)
    network = one.trainer.average.network.eval()
    with torch.inference_mode():
        exact = network(x).sigmoid().numpy()
    size = x[0, 0].numel() / 1e6
    default = size / cpu_s(lambda: eager(network, half(one.plan), x))
    for name, engine in engines(network, one.plan, x, compiled):
        speed = size / cpu_s(lambda: engine(x))  # noqa: B023
        off = np.abs(engine(x) - exact)
        changed = float(((engine(x) >= 0.5) != (exact >= 0.5)).mean())
        note = f"off by {off.max():.1e} at most, {100 * changed:.3f} % of the pixels decided otherwise"
        yield Row(f"inference by {name}", speed, "working Mpx/s", default, "the default", note)


def startup() -> Iterator[Row]:
    """CPU seconds of commands that do nothing, against an interpreter that does nothing."""
    bare, nothing = child_s("pass"), "an empty Python program"
    helping = "import sys; sys.argv = ['hilum', '--help']; from hilum.cli import main; main()"
    yield Row("import hilum", child_s("import hilum"), "CPU s", bare, nothing)
    yield Row("hilum --help", child_s(helping), "CPU s", bare, nothing)
    training = child_s("import hilum.verbs.train")
    yield Row("import of all that trains", training, "CPU s", child_s("import torch"), "import torch")


def child_s(code: str) -> float:
    """The least CPU seconds of three runs of a program."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "convolutions": convolutions,
    "loop": loop,
    "augmentation": augmentation,
    "decoding": decoding,
    "prediction": prediction,
    "backends": backends,
    "startup": startup,
}


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("parts", nargs="*", metavar="NAME", help=", ".join(PARTS))
    arguments.add_argument("--compile", action="store_true", help="also torch.compile")
    arguments.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of each measurement")
    arguments.add_argument("--note", default="", help="what should be known of these rows")
    given = arguments.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        arguments.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    SECONDS[0] = given.seconds
    for name in given.parts or PARTS:
        rows = backends(given.compile) if name == "backends" else PARTS[name]()
        for row in rows:
            record(row, given.note)


def record(row: Row, machine_note: str = "") -> None:
    """Append a row to the results and print it."""
    ratio = row.figure / row.limit if row.limit else None
    found = {"date": datetime.now().isoformat(timespec="seconds"), **vars(row), "ratio": ratio}
    found["machine_note"] = machine_note
    found |= {
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "versions": package_versions(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    held = f"{row.limit:.4g} ({row.against}), {ratio:.2f}" if row.limit and ratio else ""
    print(f"| {row.part} | {row.figure:.4g} {row.unit} | {held} | {row.note} |", flush=True)


if __name__ == "__main__":
    main()
