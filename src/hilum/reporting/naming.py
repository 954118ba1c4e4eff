"""Names made to fit into a plot: wrapped or cut in the middle, and still told apart."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence


def cut(name: str, most: int) -> str:
    """A name of at most `most` letters: both of its ends around "…", for names often differ only there.

    >>> cut("carcinoma, grade 2", 12)
    'carcin…ade 2'
    """
    if len(name) <= most:
        return name
    kept = max(most - 1, 0)
    return f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"


def wrapped(name: str, width: int, most: int = 3) -> str:
    r"""A name in at most so many lines of `width` letters, cut in the middle where it needs more.

    >>> wrapped("SevereInflammation", 14)
    'Severe\nInflammation'
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name) if len(name) > width else name
    for letters in range(min(len(spaced), most * width), 0, -1):
        lines = textwrap.wrap(cut(spaced, letters), width)
        if len(lines) <= most:
            return "\n".join(lines)
    return name[:width]


def told_apart(names: Sequence[str], fit: Callable[[str], str]) -> list[str]:
    """Each name as `fit` makes it; those that then read alike are numbered.

    >>> told_apart(["lung 1 left", "lung 2 left"], lambda name: cut(name, 9))
    ['lung…left (1)', 'lung…left (2)']
    """
    fitted = [fit(name) for name in names]
    alike, seen = Counter(fitted), Counter[str]()
    shown = []
    for text in fitted:
        seen[text] += 1
        shown.append(f"{text} ({seen[text]})" if alike[text] > 1 else text)
    return shown


def longest_line(texts: Sequence[str]) -> int:
    """Letters of the longest line of some texts."""
    return max((len(line) for text in texts for line in text.split("\n")), default=0)
