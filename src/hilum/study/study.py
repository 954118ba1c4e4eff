"""What the user has: cases with images, annotations, groups and splits, all read lazily."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hilum.image.limits import shown
from hilum.image.spacing import Spacing


@dataclass(frozen=True, order=True)
class Source:
    """Where pixels lie: a file, in it an entry (npz key, zip member) or an index along its first axis."""

    path: Path
    entry: str | None = None
    index: int | None = None

    def __str__(self) -> str:
        inside = "".join(f"[{part}]" for part in (self.entry, self.index) if part is not None)
        return f"{shown(self.path)}{inside}"


@dataclass(frozen=True)
class Encoding:
    """How pixel values of a mask file say "inside".

    kind "threshold": luminance above `value`; "index": equal to `value` or one of `others`; "colour":
    equal to `colour` (r, g, b), or to one of `others` as numbers 0xRRGGBB, within JPEG tolerance;
    "unknown": not looked at yet.
    """

    kind: str
    value: float = 0.0
    colour: tuple[int, int, int] | None = None
    others: tuple[float, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "index":
                return f"index = {' or '.join(f'{value:g}' for value in (self.value, *self.others))}"
            case "colour":
                return f"colour = {self.colour}"
            case "unknown":
                return "not known"
            case _:
                return f"above {self.value:g}"


@dataclass(frozen=True)
class MaskSource:
    """The mask of one target: a pixel is inside where at least `votes` of the files say so.

    Several files with `votes` 1 are united parts; with more they are readers who must agree.
    """

    sources: tuple[Source, ...]
    encoding: Encoding
    votes: int = 1


NODULE = "nodule"


@dataclass(frozen=True)
class Mark:
    """A mark in the world: centre (x, y, z) and diameter in mm, with a name for its kind."""

    centre: tuple[float, float, float]
    diameter_mm: float
    kind: str = NODULE


@dataclass(frozen=True)
class Case:
    """One image with its annotation.

    `masks` maps target to mask, `labels` maps class to 1, 0 or NaN (unknown). A target without a
    mask here is not annotated in this case, which differs from an empty mask. `channels` are further
    files of the same image, stacked behind `image` along the channel axis.
    """

    name: str
    image: Source
    masks: Mapping[str, MaskSource] = field(default_factory=dict)
    labels: Mapping[str, float] = field(default_factory=dict)
    marks: tuple[Mark, ...] | None = None
    group: str = ""
    split: str | None = None
    spacing: Spacing | None = None
    channels: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a person should know of a study: "error" stops the verb, "warning" and "note" are printed.

    An error names the `cases` and the `targets` that are left out where bad ones are skipped.
    """

    severity: str
    message: str
    cases: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"


@dataclass(frozen=True)
class Study:
    """A folder understood: its layout, cases, targets or classes, and what looks wrong.

    `exclusive` is True where each pixel (or image) belongs to one target (or class) at most.
    `grouping` says in words where the groups come from. `unannotated` are images that belong to the study
    and that nobody has annotated: there is nothing to learn from them, but they can be predicted.
    """

    root: Path
    layout: str
    cases: tuple[Case, ...]
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    exclusive: bool = False
    grouping: str = "every image its own group"
    findings: tuple[Finding, ...] = ()
    unannotated: tuple[Case, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted."""
        return tuple(sorted({case.group for case in self.cases}))

    @cached_property
    def by_name(self) -> Mapping[str, Case]:
        """The cases by their names."""
        return {case.name: case for case in self.cases}
