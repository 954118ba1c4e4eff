"""What explains a case, as pictures for files and as a section of a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hilum.explanation.case import CaseExplanation, OutputExplanation
from hilum.explanation.features import FeatureMaps
from hilum.image.colours import to_display
from hilum.reporting.blocks import Block, Callout, Card, Figure, Gallery, Heading, Panel, Section, Table, Text
from hilum.reporting.heat import heat_overlay, mosaic, signed_overlay
from hilum.reporting.numbers import share
from hilum.reporting.overlay import Colour, Mask, Pixels, paint, target_colours
from hilum.reporting.thumbnails import data_uri, mask_thumbnail, thumbnail

SIDE, LEAST = 480, 360
DOUBT = ("sure", "unsure")
READING = (
    "Grad-CAM shows where a layer of the network holds evidence for a class or a target: coarse, relative to "
    "the strongest place of that picture, of one network. Where evidence lies is not whether it is right.",
    "Occlusion shows how far the probability falls when that place is covered by the image's mean colour: "
    "vermilion where it falls, blue where it rises. Of a target: the mean probability inside its outline.",
    "Uncertainty is the entropy of what all networks say together, from 0 (all sure) to 1 (half and half); "
    "disagreement is the part of it that comes from the networks contradicting each other.",
    "Feature maps are the channels of a layer, each scaled by itself, so brightness cannot be compared "
    "between channels.",
)


def activation_picture(case: CaseExplanation, output: OutputExplanation, side: int | None = None) -> Pixels:
    """Grad-CAM of one output over the image, at full size or at most `side` pixels."""
    return heat_overlay(_picture(case, side), output.heat, f"Grad-CAM: {output.name}")


def occlusion_picture(case: CaseExplanation, output: OutputExplanation, side: int | None = None) -> Pixels:
    """Fall of the probability where the image is covered; needs `output.fall`."""
    values = np.zeros_like(output.heat) if output.fall is None else output.fall
    return signed_overlay(_picture(case, side), values, f"Covered: {output.name}")


def uncertainty_picture(
    case: CaseExplanation, outputs: Sequence[OutputExplanation], side: int | None = None
) -> Pixels | None:
    """The largest entropy of some outputs at each pixel; None where there are no maps."""
    maps = [output.entropy for output in outputs if output.entropy is not None]
    if not maps:
        return None
    return heat_overlay(_picture(case, side), np.max(maps, axis=0), "Uncertainty", DOUBT)


def feature_picture(features: FeatureMaps, width: int = 1200) -> Pixels:
    """All kept channels of a layer with their numbers."""
    title = f"{features.layer}: {features.note}"
    return mosaic(features.maps, [str(channel) for channel in features.channels], title, width)


def reading_section(rows: Sequence[Mapping[str, Any]], note: str = "") -> Section:
    """All cases from the most uncertain down, and how to read the pictures.

    `rows` hold case, output, share or probability, uncertainty and disagreement, as `case_rows` gives them.
    """
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["case"]] = max(worst.get(row["case"], 0.0), float(row["uncertainty"]))
    ordered = sorted(rows, key=lambda row: -worst[row["case"]])
    found = "share" if any("share" in row for row in rows) else "probability"
    cells = [
        (row["case"], row["output"], share(row[found]), row["uncertainty"], row["disagreement"])
        for row in ordered
    ]
    columns = ("Case", "Output", found.capitalize(), "Uncertainty", "Disagreement")
    digits = (("Uncertainty", 3), ("Disagreement", 3))
    table = Table(columns, tuple(cells), "Most uncertain first", note=note, digits=digits)
    reading = [Text(text) for text in READING]
    return Section("Overview", (table, Heading("How to read the pictures"), *reading))


def case_rows(case: CaseExplanation) -> list[dict[str, Any]]:
    """A row of uncertainty.csv for each output that was explained."""
    return [
        {
            "case": case.name,
            "output": output.name,
            "share" if output.mask is not None else "probability": round(output.probability, 6),
            "uncertainty": round(output.uncertainty, 6),
            "disagreement": round(output.disagreement, 6),
            "predictions": case.members,
        }
        for output in case.outputs
    ]


def case_section(
    case: CaseExplanation, features: bool = True, colours: Mapping[str, Colour] | None = None
) -> Section:
    """One card an output, then the feature maps; `colours` are those of the outlines of all targets."""
    blocks: list[Block] = [Callout("note", note) for note in case.notes]
    shades = colours or target_colours([output.name for output in case.outputs])
    blocks.append(Gallery(tuple(_card(case, output, shades) for output in case.outputs)))
    if features and case.features:
        blocks.append(Heading("Feature maps"))
        blocks += [_figure(one) for one in case.features]
    return Section(case.name, tuple(blocks), f"case-{case.name}")


def _card(case: CaseExplanation, output: OutputExplanation, colours: Mapping[str, Colour]) -> Card:
    picture = _picture(case, SIDE)
    panels = [("Image", picture)]
    if output.mask is not None:
        mask = _enlarged(mask_thumbnail(_at_full(output.mask, case), SIDE))
        panels[0] = ("Image with what is found", paint(picture, {output.name: mask}, 0.12, colours))
    panels.append((f"Grad-CAM, layer {case.layer}", activation_picture(case, output, SIDE)))
    if output.fall is not None:
        covered = f"Occlusion, {case.patch} px patches"
        panels.append((covered, occlusion_picture(case, output, SIDE)))
    doubt = uncertainty_picture(case, [output], SIDE)
    if doubt is not None:
        panels.append((f"Uncertainty of {case.members} predictions", doubt))
    facts = (
        ("Share" if output.mask is not None else "Probability", share(output.probability)),
        ("Uncertainty", f"{output.uncertainty:.3f}"),
        ("Disagreement", f"{output.disagreement:.3f}"),
    )
    # as large as the picture with its colour bar is, so that its letters stay crisp
    shown = tuple(Panel(data_uri(pixels, 2 * SIDE), label) for label, pixels in panels)
    return Card(output.name, shown, facts)


def _figure(features: FeatureMaps) -> Figure:
    content = io.BytesIO()
    Pillow.fromarray(feature_picture(features, 1000)).save(content, "JPEG", quality=80, optimize=True)
    return Figure(content.getvalue(), features.note, features.layer, media="image/jpeg")


def _picture(case: CaseExplanation, side: int | None) -> Pixels:
    picture = to_display(case.image)
    return _enlarged(thumbnail(picture, side) if side else picture)


def _enlarged(picture: NDArray[Any]) -> NDArray[Any]:
    """A small picture (Y, X, ...) in whole steps, so that the letters of its colour bar find room."""
    step = max(1, LEAST // max(picture.shape[:2]))
    return picture.repeat(step, 0).repeat(step, 1)


def _at_full(mask: Mask, case: CaseExplanation) -> Mask:
    height, width = case.image.shape
    if mask.shape == (height, width):
        return mask
    grey = Pillow.fromarray(np.asarray(mask, np.uint8) * 255)
    return np.asarray(grey.resize((width, height), Pillow.Resampling.BILINEAR)) > 127
