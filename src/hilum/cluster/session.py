"""A Ray cluster to work on: one of this machine's processors, or one that is there already."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from hilum.errors import HilumError, needed
from hilum.planning.device import usable_cpus

LOCAL = "local"
STORE_BYTES = 200_000_000
# No statistics; and workers are no nicer than the plain loop, where Ray's are by 15: beside any other work on
# the machine they would hardly move.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


@contextlib.contextmanager
def session(address: str, workers: int | None = None, store_bytes: int = STORE_BYTES) -> Iterator[Any]:
    """Ray, connected: `address` is "local" (a worker a processor, or `workers`) or that of a cluster.

    Nothing is sent to anybody: usage statistics and dashboard are off. Raises HilumError where Ray is not
    installed, is in use by this process already, or no cluster answers.
    """
    os.environ.update(_SETTINGS)  # before Ray is imported, which reads them
    ray = needed("ray", "cluster")
    if ray.is_initialized():
        raise HilumError("this process is connected to a Ray cluster already; call ray.shutdown() first")
    common = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    with _Starting(address):
        if address == LOCAL:
            count = workers or usable_cpus()
            ray.init(num_cpus=count, include_dashboard=False, object_store_memory=store_bytes, **common)
        else:
            ray.init(address=address, **common)
    try:
        yield ray
    finally:
        ray.shutdown()


class _Starting:
    """Says what to do where Ray does not start; it raises a bare Exception after half a minute."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Raise HilumError in the place of what Ray raises."""
        if not (
            kind is Exception or isinstance(error, ConnectionError | RuntimeError | ValueError | OSError)
        ):
            return
        said = " ".join(str(error).split())[:200]
        advice = (
            "the machine may be too busy; try again, or leave --cluster out"
            if self.address == LOCAL
            else "write local, or the address that `ray start --head` has said, such as 10.0.0.5:6379"
        )
        raise HilumError(f"--cluster {self.address}: Ray does not start ({said}); {advice}") from error


def worker_count(ray: Any, wanted: int | None, device: str) -> int:
    """How many workers there may be: as many as asked for, or one for each GPU or processor."""
    there = ray.cluster_resources()
    kind = "GPU" if device == "cuda" else "CPU"
    most = int(there.get(kind, 0))
    if most < 1:
        raise HilumError(f"the cluster has no {kind}; it has {dict(there)}")
    return min(wanted, most) if wanted else most
