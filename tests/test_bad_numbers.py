"""NaN pixels, constant and tiny images, empty targets, absurd rates: a clear error or a sound run."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError, StudyError, TrainingError


@pytest.fixture
def study(tmp_path):
    """Makes a study of float TIFFs with masks: study(change) where change(array, number) edits each image."""

    def make(change=None, masks=True, shape=(40, 48), cases=4):
        rng = np.random.default_rng(0)
        for number in range(cases):
            inside = np.zeros(shape, np.uint8)
            inside[shape[0] // 4 : shape[0] // 2 + number, shape[1] // 4 : shape[1] // 2] = 255 * masks
            image = rng.normal(size=shape).astype(np.float32) + inside / 100
            image = image if change is None else change(image, number)
            for folder in ("images", "masks"):
                (tmp_path / "study" / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / "study" / "images" / f"{number}.tif", image)
            Pillow.fromarray(inside).save(tmp_path / "study" / "masks" / f"{number}.png")
        return tmp_path / "study"

    return make


@pytest.fixture
def trained(tmp_path, quick):
    """Trains for a few steps: trained(folder, *settings, **options)."""

    def train(folder, *settings, **options):
        wishes = {"steps": 3, "folds": 2, "device": "cpu", "settings": (*quick, *settings), **options}
        return hilum.train(folder, tmp_path / "run", **wishes)

    return train


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused_by_name_before_any_work(study, trained, tmp_path, value):
    def spoil(image, number):
        image[3, 4] = value if number == 2 else 0
        return image

    folder = study(spoil)
    with pytest.raises(HilumError, match=r"2\.tif: .*NaN or infinite"):
        trained(folder)
    assert not (tmp_path / "run").exists()
    summary = trained(folder, skip_bad=True).summary()
    assert summary["targets"]["target"]["dice"]["cases"] == 3


def test_constant_images_of_huge_values_are_refused_before_any_work(study, trained, tmp_path):
    with pytest.raises(HilumError, match=r"tif: holds values too large to be normalised"):
        trained(study(lambda image, number: np.full_like(image, 3e38 * (1 - 0.2 * number))))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [7.0, 1e15, -1e-38])
def test_constant_images_are_no_division_by_zero(study, trained, value):
    """Each of another value: equal images count as one, and could not be parted into folds."""
    run = trained(study(lambda image, number: np.full_like(image, value * (1 - 0.2 * number))))
    assert all(np.isfinite(float(row["loss"])) for row in run.history(0))
    dice = run.summary()["targets"]["target"]["dice"]
    assert dice["cases"] == 4


def test_one_constant_image_among_others_is_borne(study, trained):
    run = trained(study(lambda image, number: np.zeros_like(image) if number == 1 else image))
    assert all(np.isfinite(float(row["loss"])) for row in run.history(0))


def test_targets_that_are_empty_everywhere_are_refused(study, trained, tmp_path):
    with pytest.raises(StudyError, match="no pixel in any of 4 masks"):
        trained(study(masks=False))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 3), (5, 4)])
def test_tiny_images_are_trained_on_or_refused(study, trained, shape):
    try:
        run = trained(study(shape=shape))
    except HilumError as error:
        assert len(str(error)) > 20  # noqa: PT017
        return
    assert (run.folder / "report.html").is_file()


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_huge_values_are_borne(study, trained, value):
    def spoil(image, number):
        image[5, 5] = value
        return image

    try:
        run = trained(study(spoil))
    except HilumError as error:
        assert "too large" in str(error)  # noqa: PT017
        return
    assert all(np.isfinite(float(row["loss"])) for row in run.history(0))


@pytest.mark.parametrize("rate", ["1e30", ".inf", ".nan", "0", "-1", "101"])
def test_rates_beyond_all_measure_are_refused_at_the_door(study, trained, tmp_path, rate):
    with pytest.raises(HilumError, match="learning_rate"):
        trained(study(), f"training.learning_rate={rate}")
    assert not (tmp_path / "run").exists()


def test_an_absurd_rate_stops_with_advice_or_ends_in_finite_weights(study, trained):
    from hilum.training.run import load_network

    try:
        run = trained(study(), "training.learning_rate=100", "training.warmup=0", steps=30, fold=0)
    except TrainingError as error:
        assert "learning_rate" in str(error)  # noqa: PT017
        return
    assert load_network(run, 0) is not None
