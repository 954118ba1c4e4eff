"""Hilum: from a folder of annotated medical images to a validated model, measurements and a report.

Verbs are functions (`inspect`, `plan`, `train`, `evaluate`, `predict`, `explain`, `export`, `measure`,
`report`, `demo`, `doctor`), rooms are modules (`hilum.models`, `hilum.image`). All are imported when first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.verbs.demo import demo
    from hilum.verbs.doctor import doctor
    from hilum.verbs.evaluate import evaluate
    from hilum.verbs.explain import explain
    from hilum.verbs.export import export
    from hilum.verbs.inspect import inspect
    from hilum.verbs.measure import measure
    from hilum.verbs.plan import plan
    from hilum.verbs.predict import predict
    from hilum.verbs.report import report
    from hilum.verbs.train import train

__version__ = "0.1.0"
__all__ = ["demo", "doctor"]
__all__ += ["evaluate", "explain", "export", "inspect", "measure", "plan", "predict", "report", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"hilum.verbs.{name}"), name)
    raise AttributeError(f"module 'hilum' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
