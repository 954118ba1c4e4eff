"""Running out of memory: how it is told from other failures, on processors and graphics cards."""

from __future__ import annotations

import torch

_WORDS = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch has no type of its own for it on processors.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)
