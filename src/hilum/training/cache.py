"""Prepared images kept with a run in one memory-mapped array, so that going on needs no decoding.

`RUN/cache/samples.npy` holds all samples one after the other as float32, exactly as training sees them;
`RUN/cache/samples.json` says where each lies and what they were made from. The index is written last and
removed first, so that there is a whole cache or none.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import NUMPY_HEADER, read_json, whole_file, write_json
from hilum.planning.plan import Plan
from hilum.study.inputs import files_of, sources_of
from hilum.study.study import Case
from hilum.training.samples import Sample, centres_of
from hilum.training.space import existing

logger = logging.getLogger(__name__)
VERSION = 3
MANY_CASES = 200
LONG_S = 5.0
DISK_SHARE = 0.25
INDEX_BYTES = 512_000_000

Samples = Mapping[str, Sequence[Sample]]


def digest_of(cases: Sequence[Case], plan: Plan) -> str:
    """A digest of everything that samples are made from: files with size and time, masks, the data plan."""
    parts = [str(VERSION), plan.task, json.dumps(plan.data.model_dump(mode="json"), sort_keys=True)]
    for case in cases:
        masks = sorted((name, str(asdict(mask))) for name, mask in case.masks.items())
        labels = sorted((name, repr(value)) for name, value in case.labels.items())
        parts.append(repr((case.name, masks, labels, case.marks, case.spacing)))
        parts += [str(source) for source in sources_of(case)]
        parts += [_state(path) for path in files_of(case)]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def worth_keeping(cases: int, decoding_s: float, size_bytes: int, folder: Path) -> str:
    """Why a cache pays, or "" where it does not: few images that are read fast, or a disk without room."""
    free = shutil.disk_usage(existing(folder)).free
    if size_bytes > DISK_SHARE * free:
        return ""
    if cases > MANY_CASES:
        return f"more than {MANY_CASES} cases"
    return f"reading them took {decoding_s:.0f} s" if decoding_s > LONG_S else ""


def size_of(samples: Samples) -> int:
    """Bytes that a cache of these samples takes."""
    return sum(sample.stack.numel() * 4 for found in samples.values() for sample in found)


def write_cache(folder: Path, samples: Samples, digest: str) -> None:
    """Write samples with the digest of their inputs. Raises HilumError where the disk refuses."""
    index, data = folder / "samples.json", folder / "samples.npy"
    index.unlink(missing_ok=True)
    flat = [sample for found in samples.values() for sample in found]
    total = sum(sample.stack.numel() for sample in flat)
    entries, at = [], 0
    # Written, not mapped: on a full disk a write is an error, where a mapped page ends the process.
    with whole_file(data) as beside, beside.open("wb") as handle:
        head = {"descr": "<f4", "fortran_order": False, "shape": (max(1, total),)}
        np.lib.format.write_array_header_1_0(handle, head)
        for sample in flat:
            entries.append(_entry(sample, at))
            handle.write(np.ascontiguousarray(sample.stack.float().numpy(), "<f4").data)
            at += sample.stack.numel()
        handle.write(b"" if total else np.zeros(1, "<f4").tobytes())
        handle.flush()
    by_case = {name: len(found) for name, found in samples.items()}
    write_json(
        index, {"version": VERSION, "fingerprint": digest, "values": at, "cases": by_case, "samples": entries}
    )


def _entry(sample: Sample, at: int) -> dict[str, Any]:
    return {
        "name": sample.name,
        "at": at,
        "shape": list(sample.stack.shape),
        "channels": sample.channels,
        "known": sample.known.tolist(),
        "label": None if sample.label is None else sample.label.tolist(),
        "weight": sample.weight,
        "neighbours": sample.neighbours,
        "centres": _own_centres(sample),
    }


def _own_centres(sample: Sample) -> list[Any] | None:
    """Centres that cannot be found again from the masks: those of volumes, which a task chooses."""
    return [list_.tolist() for list_ in sample.centres] if len(sample.shape) == 3 else None


def read_cache(folder: Path, digest: str) -> dict[str, tuple[Sample, ...]] | None:
    """The samples of a cache, memory-mapped; None where there is none, or its inputs or plan have changed."""
    index = folder / "samples.json"
    if not index.is_file():
        return None
    try:
        content = read_json(index, INDEX_BYTES)
        if content["version"] != VERSION or content["fingerprint"] != digest:
            logger.info("images or plan have changed: the images are read again")
            return None
        with NUMPY_HEADER:
            array = np.load(folder / "samples.npy", mmap_mode="c", allow_pickle=False)
        if array.dtype != np.float32 or array.shape != (max(1, int(content["values"])),):
            raise HilumError(f"{folder}: the array does not fit its index")
        found = [_sample(entry, array) for entry in content["samples"]]
        ends = list(itertools.accumulate(int(count) for count in content["cases"].values()))
        return {
            str(name): tuple(found[start:end])
            for name, start, end in zip(content["cases"], [0, *ends], ends, strict=False)
        }
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        logger.warning("%s: the cache cannot be used (%s); the images are read again", folder, error)
        return None


def _sample(entry: Mapping[str, Any], array: NDArray[np.float32]) -> Sample:
    shape = tuple(int(side) for side in entry["shape"])
    at, channels = int(entry["at"]), int(entry["channels"])
    part = array[at : at + int(np.prod(shape))].reshape(shape)
    stack, known = torch.from_numpy(part), torch.tensor(entry["known"], dtype=torch.float32)
    weight, neighbours = float(entry["weight"]), int(entry["neighbours"])
    if entry["label"] is None:
        own = entry["centres"]
        centres = centres_of(stack[channels:]) if own is None else tuple(map(_places, own))
        return Sample(str(entry["name"]), stack, channels, known, None, centres, weight, neighbours)
    label = torch.tensor(entry["label"], dtype=torch.float32)
    return Sample(str(entry["name"]), stack, channels, known, label, (), weight, neighbours)


def _places(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.array(rows, np.int32).reshape(-1, 3)
