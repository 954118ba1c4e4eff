"""What the machine at hand can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from hilum.errors import PlanError

_OWN_GROUPS, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Device:
    """A processor or graphics card: `kind` "cpu" or "cuda", threads, free memory, bfloat16 in hardware."""

    kind: str
    name: str
    threads: int
    memory_bytes: int
    bf16: bool


def find_device(wish: str = "auto") -> Device:
    """The device to train on. Raises PlanError where the wish cannot be met."""
    if wish not in ("auto", "cpu", "cuda"):
        raise PlanError(f"--device {wish}: choose auto, cpu or cuda; to predict also openvino")
    if wish == "cuda" and not torch.cuda.is_available():
        raise PlanError("--device cuda: PyTorch finds no CUDA device here; use --device auto or cpu")
    threads = usable_cpus()
    if wish != "cpu" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return Device(
            "cuda",
            torch.cuda.get_device_name(),
            threads,
            free,
            torch.cuda.is_bf16_supported(including_emulation=False),
        )
    return Device("cpu", torch.backends.cpu.get_cpu_capability(), threads, free_memory_bytes(), _cpu_bf16())


def check_device(kind: str) -> None:
    """Raise PlanError where a plan's `training.device` is not here, as where it was made elsewhere."""
    if kind == "cuda" and not torch.cuda.is_available():
        raise PlanError(
            "the plan says training.device: cuda, and PyTorch finds no CUDA device here; say --device cpu, "
            "or --set training.device=cpu --set training.precision=32-true"
        )


def usable_cpus() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    """Memory that can be taken now: of the machine, and of every container and slice this process is in."""
    free = _proc_available()
    for path in (*_CGROUP, *_nested(_OWN_GROUPS, _MOUNT)):
        limit = _number(path)
        if limit is not None:
            free = min(free, max(0, limit - _used(path)))
    return free


def _nested(groups: Path, mount: Path) -> Iterator[Path]:
    """Files of the limits of this process' own groups (cgroup v2 and v1) and of all groups around them."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers in ("", "memory"):
            name = "memory.max" if not controllers else "memory.limit_in_bytes"
            folder = mount / controllers / path.lstrip("/")
            yield from (above / name for above in (folder, *folder.parents) if above.is_relative_to(mount))


def _used(limit: Path) -> int:
    """Memory that a group has taken, less the file cache that the system would give back."""
    names = ("memory.current", "memory.usage_in_bytes")
    taken = next((found for name in names if (found := _number(limit.with_name(name)))), 0)
    try:
        lines = limit.with_name("memory.stat").read_text().splitlines()
    except OSError:
        return taken
    stat = dict(line.split(" ", 1) for line in lines if " " in line)
    cached = stat.get("total_inactive_file") or stat.get("inactive_file") or "0"
    return max(0, taken - int(cached)) if cached.isdigit() else taken


def _proc_available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cpu_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware; emulated it is slower than float32."""
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capability:
        return bool(capability.get("avx512_bf16") or capability.get("amx_bf16") or capability.get("bf16"))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())
