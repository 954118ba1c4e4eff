"""The one error tree: every failure a user can cause or mend is a HilumError."""

from __future__ import annotations

import importlib
from types import ModuleType

# What a library may raise on an odd file: work goes on with the next one.
UNEXPECTED: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class HilumError(ValueError):
    """Base of all errors that Hilum raises on purpose; its text is one clear message for the user.

    A message names the file, what was found, what is allowed and what to type next.
    """


class ImageError(HilumError):
    """A file cannot be read as an image, or its pixels are not what is needed."""


class StudyError(HilumError):
    """A folder is not a study, or its cases contradict each other."""


class PlanError(HilumError):
    """A plan, a recipe or an override is not valid."""


class RunError(HilumError):
    """A folder is not a run, is not finished, or belongs to somebody else."""


class TrainingError(HilumError):
    """Training cannot start or cannot go on."""


def needed(module: str, extra: str) -> ModuleType:
    """An optional package. Raises HilumError that says what to type where it is not installed.

    >>> needed("json", "export").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise HilumError(
            f"{module} is not installed ({error}); type: pip install 'hilum[{extra}]'"
        ) from error
