import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image as Pillow

from hilum.explanation.case import CaseExplanation, OutputExplanation
from hilum.explanation.features import FeatureMaps
from hilum.image.image import Image
from hilum.reporting.explanations import (
    activation_picture,
    case_rows,
    case_section,
    feature_picture,
    reading_section,
    uncertainty_picture,
)
from hilum.reporting.overlay import target_colours
from hilum.reporting.page import render


def output(name="Liver", mask=True, uncertainty=0.3):
    map_ = np.zeros((20, 30), np.float32)
    return OutputExplanation(
        name, 0.25, map_, map_, map_ if mask else None, map_ > 1 if mask else None, uncertainty, 0.1
    )


def case(name="one", *outputs):
    features = FeatureMaps("conv", np.zeros((2, 10, 15), np.float32), (0, 1), 2)
    image = Image(np.full((3, 40, 60), 90, np.uint8))
    return CaseExplanation(name, image, "conv", (features,), outputs or (output(),), 4, 5, ("a note",))


def test_a_segmenter_has_four_panels_and_a_classifier_three():
    gallery = next(block for block in case_section(case()).blocks if block.kind == "gallery")
    assert [panel.label for panel in gallery.cards[0].panels] == [
        "Image with what is found",
        "Grad-CAM, layer conv",
        "Occlusion, 5 px patches",
        "Uncertainty of 4 predictions",
    ]
    one = case("x", output(mask=False))
    gallery = next(block for block in case_section(one).blocks if block.kind == "gallery")
    assert len(gallery.cards[0].panels) == 3
    assert uncertainty_picture(one, one.outputs) is None


def test_outlines_have_the_colours_of_the_report():
    """By the place of a target among all of the run, whichever of them were asked about."""
    found = np.zeros((40, 60), bool)
    found[10:30, 10:40] = True
    second = replace(output("Spleen"), mask=found)
    colours = target_colours(["Liver", "Spleen"])
    blocks = case_section(case("x", second), features=False, colours=colours).blocks
    (card,) = next(block for block in blocks if block.kind == "gallery").cards
    head, _, content = card.panels[0].uri.partition(",")
    assert head.startswith("data:image/")
    picture = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(content))).convert("RGB")).astype(int)
    warmth = picture[..., 0] - picture[..., 2]
    assert warmth.max() > 60, "orange, the second colour"
    assert warmth.min() > -30, "no blue"


def test_small_images_are_enlarged_in_whole_steps_with_their_masks():
    picture = activation_picture(case(), output())
    assert (picture[: 40 * 6, : 60 * 6] == 90).all()
    tiny = replace(case(), image=Image(np.full((1, 7, 5), 90, np.uint8)))
    assert max(activation_picture(tiny, output()).shape) >= 7 * 51
    assert case_section(tiny).blocks


def test_the_most_uncertain_case_comes_first():
    sure, unsure = case("sure", output(uncertainty=0.1)), case("unsure", output(uncertainty=0.9))
    table = reading_section([*case_rows(sure), *case_rows(unsure)]).blocks[0]
    assert [row[0] for row in table.rows] == ["unsure", "sure"]
    assert table.columns[2] == "Share"


def test_the_page_escapes_names_and_loads_nothing():
    odd = case("<b>a & b</b>", output("<i>Liver"))
    page = render("Why", "", [reading_section(case_rows(odd)), case_section(odd)])
    assert "&lt;b&gt;a &amp; b" in page
    assert "<b>a &" not in page
    assert "<i>Liver" not in page
    assert 'src="http' not in page
    assert "a note" in page


def test_feature_pictures_are_about_as_wide_as_asked():
    assert abs(feature_picture(case().features[0], 500).shape[1] - 500) < 10
