"""Submissions of challenges by name: each collects what was decided on every image and writes one file."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from hilum.errors import PlanError
from hilum.planning.plan import Plan
from hilum.study.study import Case

SUBMISSIONS = {"kaggle-rle": "hilum.exchange.kaggle_rle:start"}


class Submission(Protocol):
    """A submission in the making: told of one case after the other, written once at the end."""

    def check(self, cases: Sequence[Case]) -> None:
        """Raise HilumError for cases that it cannot take, before any work on them."""
        ...

    def add(self, case: Case, decided: Mapping[str, Any]) -> None:
        """Take in what was decided on one case, as the task hands it out."""
        ...

    def write(self, folder: Path) -> Path:
        """Write the file into a folder; its path."""
        ...


def names() -> Sequence[str]:
    """Names of all submissions.

    >>> names()
    ('kaggle-rle',)
    """
    return tuple(SUBMISSIONS)


def start_submission(name: str, plan: Plan) -> Submission:
    """A new submission of a run with this plan.

    Raises PlanError for an unknown name, or a plan that does not fit.
    """
    if name not in SUBMISSIONS:
        near = difflib.get_close_matches(name, SUBMISSIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PlanError(f"--submission {name}: not one of {', '.join(SUBMISSIONS)}{hint}")
    module, _, attribute = SUBMISSIONS[name].partition(":")
    start = cast("Callable[[Plan], Submission]", getattr(importlib.import_module(module), attribute))
    return start(plan)
