"""When a resolution is a pixel size and when it is a habit of software."""

import pytest

from hilum.image.resolution import CM_UM, INCH_UM, METRE_UM, SOFTWARE_DPI, spacing_from_density


@pytest.mark.parametrize("dpi", SOFTWARE_DPI)
def test_software_defaults_are_not_physical(dpi):
    assert spacing_from_density(dpi, dpi, INCH_UM) is None
    assert spacing_from_density(dpi / 2.54, dpi / 2.54, CM_UM) is None
    assert spacing_from_density(round(dpi / 0.0254), round(dpi / 0.0254), METRE_UM) is None


@pytest.mark.parametrize(
    "size_um", [0.003, 0.25, 0.65, 1, 2, 10, 50, 100, 139, 143, 175, 200, 250, 500, 1000]
)
def test_sizes_of_microscopes_and_detectors_are_physical(size_um):
    spacing = spacing_from_density(METRE_UM / size_um, METRE_UM / size_um, METRE_UM)
    assert spacing is not None
    in_um = spacing.sizes[0] * (1000 if spacing.unit == "mm" else 1)
    assert in_um == pytest.approx(size_um)
    assert spacing.unit == ("mm" if size_um >= 100 else "um")


@pytest.mark.parametrize(
    "density", [(0, 0), (-1, 5), (1, 1), (float("nan"), 9e3), (float("inf"), 9e3), (1e12, 1e12), (9e3, 9e4)]
)
def test_nonsense_is_unknown(density):
    assert spacing_from_density(*density, INCH_UM) is None


def test_order_is_y_x():
    assert spacing_from_density(10_000, 20_000, CM_UM).sizes == (1.0, 0.5)
