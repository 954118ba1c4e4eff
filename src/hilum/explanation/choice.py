"""Names that a user gives, checked against the names there are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hilum.errors import HilumError


def choose(asked: str | Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """The asked names, each once. Raises HilumError that names the nearest and all known ones.

    >>> choose("Liver", ["Liver", "Spleen"], "target")
    ['Liver']
    """
    names = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise HilumError(f"there is no {what} {name!r}{hint}: choose from {', '.join(known) or 'none'}")
    return names
