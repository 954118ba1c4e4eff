import numpy as np

from hilum.explanation.window import telling_window


def test_holds_the_brightest_part():
    field = np.zeros((2, 50, 60), np.float32)
    field[0, 2, 2] = 0.5
    field[1, 30:40, 40:55] = 1.0
    where = telling_window(field, (20, 20))
    assert field[(1, *where)].sum() == 150
    assert field[(1, *where)].shape == (20, 20)


def test_at_the_very_end_and_in_volumes():
    field = np.zeros((1, 9, 9, 9), np.float32)
    field[0, -1, -1, -1] = 1.0
    where = telling_window(field, (4, 4, 4))
    assert all(part == slice(5, 9) for part in where)


def test_a_window_of_the_whole_image_is_the_whole_image():
    assert telling_window(np.zeros((1, 5, 6), np.float32), (5, 6)) == (slice(0, 5), slice(0, 6))
