import numpy as np

from hilum.image.tiles import even_slices
from hilum.measurement.shares import share_lines


def test_lines_of_the_histology_recipe():
    """Tiles of 1040 x 1392 pixels at rows 0, 264, 528 and columns 0, 293, 587, 880; then the whole image."""
    mask = np.zeros((1040, 1392), bool)
    mask[:528, :293] = True
    lines = list(share_lines("Parenchyma 1_KO_FLU_1", mask, even_slices(mask.shape, (512, 512), (3, 4))))
    assert len(lines) == 13
    assert lines[0] == "Parenchyma 1_KO_FLU_1 r0 c0: 150016 / 262144 57.23%"
    assert lines[1] == "Parenchyma 1_KO_FLU_1 r0 c293: 0 / 262144 0.00%"
    assert lines[-2] == "Parenchyma 1_KO_FLU_1 r528 c880: 0 / 262144 0.00%"
    assert lines[-1] == "Parenchyma 1_KO_FLU_1: 154704 / 1447680 10.69%"
