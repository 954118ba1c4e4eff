"""Training by several processes together, as `torchrun` starts them: each draws a part of every batch."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from hilum.errors import PlanError
from hilum.planning.device import Device
from hilum.planning.plan import Plan

PATIENCE = timedelta(days=7)  # the first process decodes, predicts and trains what follows while others wait


def processes() -> int:
    """How many processes `torchrun` has started for this training; 1 where it has not.

    >>> processes()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_first() -> bool:
    """Whether this process plans, writes and scores; the others train only.

    >>> is_first()
    True
    """
    return processes() == 1 or os.environ.get("RANK", "0") == "0"


def parallel_fabric(plan: Plan, precision: Any) -> Fabric:
    """Data-parallel device and precision of a plan, connected to the other processes.

    Raises PlanError where a batch has too few images for all of them.
    """
    count, here = processes(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    least = count * max(1, plan.model.members)
    if plan.training.batch < least:
        raise PlanError(
            f"training.batch={plan.training.batch}: {count} processes need batches of at least {least}; "
            f"say --set training.batch={least}"
        )
    fabric = Fabric(
        accelerator=plan.training.device,
        devices=here,
        num_nodes=max(1, count // here),
        strategy=DDPStrategy(timeout=PATIENCE),
        precision=precision,
    )
    fabric.launch()
    return fabric


def memory_each(device: Device) -> int:
    """Bytes that each process may take: a graphics card is its own, a machine's memory is shared."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if processes() > 1 else 1
    return device.memory_bytes if device.kind == "cuda" else device.memory_bytes // here


def part_of_batch(plan: Plan, count: int) -> int:
    """Images of a batch that each of `count` processes draws."""
    return max(1, plan.training.batch // count)


def all_agree(fabric: Fabric, mine: bool) -> bool:
    """Whether something holds in every process."""
    if fabric.world_size == 1:
        return mine
    votes = fabric.all_reduce(torch.tensor(float(mine), device=fabric.device), reduce_op="sum")
    return bool(float(torch.as_tensor(votes)) > fabric.world_size - 0.5)
