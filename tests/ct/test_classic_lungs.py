import numpy as np
from sklearn.cluster import KMeans

from hilum.ct.classic_lungs import classic_lung_mask, classic_slice, fits, two_means
from hilum.image.image import Image


def plane(size=256):
    rows, columns = np.mgrid[:size, :size] / size
    hu = np.full((size, size), -1000, np.int16)
    hu[((rows - 0.5) / 0.38) ** 2 + ((columns - 0.5) / 0.46) ** 2 <= 1] = 40
    lungs = ((rows - 0.5) / 0.22) ** 2 + ((np.abs(columns - 0.5) - 0.2) / 0.12) ** 2 <= 1
    hu[lungs] = -850
    hu[:5, :5] = -2048
    return hu, lungs


def test_two_means_agree_with_kmeans():
    values = np.concatenate(
        [np.random.default_rng(0).normal(-850, 60, 900), np.random.default_rng(1).normal(30, 50, 300)]
    )
    centres = KMeans(2, n_init=3, random_state=0).fit(values[:, None]).cluster_centers_
    assert abs(two_means(values) - centres.mean()) < 2.0
    assert two_means(np.zeros(9)) == 0.0


def test_a_slice_has_its_lungs_and_not_the_air_around():
    hu, lungs = plane()
    found = classic_slice(hu)
    assert found[lungs].mean() > 0.99
    assert 2 * (found & lungs).sum() / (found.sum() + lungs.sum()) > 0.88
    assert not found[hu == -1000].any()


def test_a_slice_without_lungs_is_empty():
    hu, lungs = plane()
    hu[lungs] = 40
    assert not classic_slice(hu).any()


def test_every_slice_on_its_own():
    hu, _ = plane(128)
    empty = np.full_like(hu, 40)
    mask = classic_lung_mask(Image(np.stack([hu, empty])[None]))
    assert mask.shape == (2, 128, 128)
    assert mask[0].any()
    assert not mask[1].any()


def test_rules_for_boxes():
    assert fits((100, 50, 400, 250), (512, 512))
    assert not fits((0, 0, 512, 512), (512, 512))
    assert not fits((10, 50, 100, 250), (512, 512))
    assert not fits((100, 50, 500, 250), (512, 512))
