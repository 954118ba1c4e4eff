import numpy as np

from hilum.ct.airways import find_airways, find_seed

SPACING = np.array([2.5, 2.0, 2.0])


def tube(head=1, wall=True):
    hu = np.full((50, 80, 80), 40, np.float32)
    rows, columns = np.mgrid[:80, :80]
    for side in (-1, 1):
        lung = ((rows - 40) / 30) ** 2 + ((columns - 40 - side * 20) / 14) ** 2 <= 1
        hu[3:40, lung] = -850
    ring = (rows - 40) ** 2 + (columns - 40) ** 2
    if wall:
        hu[14:, ring <= 7**2] = 0
    hu[15:, ring <= 4**2] = -990
    return hu[::head], (ring <= 4**2)


def test_the_trachea_is_found_from_either_end():
    for head in (1, -1):
        hu, spot = tube(head)
        inner = hu < -400
        z, y, x = find_seed(hu, inner, SPACING, head)
        assert spot[y, x]
        assert (z > 40) if head > 0 else (z < 10)
        airways = find_airways(hu, inner, SPACING, head)
        assert airways[hu == -990].all()
        assert airways[hu == -850].mean() < 0.05


def test_without_a_trachea_nothing_is_cut():
    hu, _ = tube()
    hu[hu == -990] = 40
    assert find_seed(hu, hu < -400, SPACING, 1) is None
    assert not find_airways(hu, hu < -400, SPACING, 1).any()


def test_growth_stops_before_it_leaks_into_the_lungs():
    hu, _ = tube(wall=False)
    hu[30, 40, 30:50] = -870
    airways = find_airways(hu, hu < -400, SPACING, 1)
    assert airways[hu == -990].all()
    assert airways[hu == -850].mean() < 0.2
