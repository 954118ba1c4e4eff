import base64
import io

import numpy as np
import pytest
from PIL import Image

from hilum.errors import ImageError
from hilum.reporting.thumbnails import (
    as_rgb,
    case_panels,
    data_uri,
    mask_thumbnail,
    picture_card,
    png_bytes,
    segmentation_card,
    side_by_side,
    thumbnail,
)


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3), (1, 40, 50), (3, 40, 50)])
def test_all_usual_shapes_become_rgb(shape):
    assert as_rgb(np.zeros(shape, np.uint8)).shape == (40, 50, 3)


def test_sixteen_bits_need_a_window():
    with pytest.raises(ImageError, match=r"uint16.*window"):
        as_rgb(np.zeros((4, 4), np.uint16))


def test_other_shapes_are_errors():
    with pytest.raises(ImageError, match=r"\(2, 3, 4, 5\)"):
        as_rgb(np.zeros((2, 3, 4, 5), np.uint8))


@pytest.mark.parametrize(
    ("shape", "expected"), [((1000, 500), (480, 240)), ((300, 200), (300, 200)), ((3, 2000), (1, 480))]
)
def test_thumbnails_keep_their_proportions(shape, expected):
    assert thumbnail(np.zeros(shape, np.uint8)).shape[:2] == expected


def test_mask_and_image_have_the_same_thumbnail_shape():
    for shape in ((1040, 1392), (28, 28), (7, 300)):
        assert mask_thumbnail(np.zeros(shape, bool)).shape == thumbnail(np.zeros(shape, np.uint8)).shape[:2]


def test_mask_thumbnail_keeps_its_share(disc):
    mask = disc((1000, 1000), (500, 500), 300)
    assert mask_thumbnail(mask).mean() == pytest.approx(mask.mean(), abs=0.005)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_data_uri_holds_the_picture(kind):
    picture = np.zeros((1000, 600), np.uint8)
    picture[:, 300:] = 200
    uri = data_uri(picture, 100, kind)
    assert uri.startswith(f"data:image/{kind};base64,")
    image = decoded(uri)
    assert image.size == (60, 100)
    assert abs(image.convert("L").getpixel((50, 50)) - 200) < 6


def test_unknown_kind_is_an_error():
    with pytest.raises(ImageError, match="jpeg, png"):
        data_uri(np.zeros((4, 4), np.uint8), kind="bmp")


def test_segmentation_card_shows_errors_of_each_target(disc):
    image = np.full((64, 64, 3), 90, np.uint8)
    masks = {"a": disc(), "b": disc(radius=5)}
    card = segmentation_card("7", image, masks, masks, facts=[("Dice", "1.000")], group="mouse 7", score=1.0)
    assert [panel.label for panel in card.panels] == [
        "Image",
        "Truth",
        "Prediction",
        "Errors: a",
        "Errors: b",
    ]
    assert all(decoded(panel.uri).size == (192, 192) for panel in card.panels)


def test_card_without_truth_has_no_error_panel(disc):
    labels = [label for label, _ in case_panels(np.zeros((64, 64, 3), np.uint8), {"a": disc()})]
    assert labels == ["Image", "Prediction"]


def test_target_without_truth_is_not_compared(disc):
    image = np.zeros((64, 64, 3), np.uint8)
    labels = [label for label, _ in case_panels(image, {"a": disc(), "b": disc()}, {"b": disc()})]
    assert labels == ["Image", "Truth", "Prediction", "Errors: b"]


def test_picture_card_and_row():
    picture = np.zeros((20, 30, 3), np.uint8)
    assert len(picture_card("x", ("X-ray", picture), ("Grad-CAM", picture)).panels) == 2
    row = side_by_side([("X-ray", picture), ("Grad-CAM", picture)], 100)
    assert row.shape[0] > 100
    assert row.shape[1] >= 2 * 150
    assert Image.open(io.BytesIO(png_bytes(row))).size == (row.shape[1], row.shape[0])
