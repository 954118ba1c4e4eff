import numpy as np
from PIL import Image as Pillow

from hilum.planning.planner import Wishes
from hilum.study.open import open_study
from hilum.verbs.folding import plan_folds

PAIR = "1 pair of equal or nearly equal images"


def labelled(folder, names):
    """Images of noise in folders of two classes; `names` maps a path to the seed of its noise."""
    for name, seed in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)
        Pillow.fromarray(noise.repeat(4, 0).repeat(4, 1)).save(path)
    return folder


def test_alike_images_are_kept_together_and_told(tmp_path):
    names = {f"{kind}/{kind}{n}.png": 10 * k + n for k, kind in enumerate(("cat", "dog")) for n in range(4)}
    names["dog/dog3.png"] = names["dog/dog0.png"]
    splits = plan_folds(open_study(labelled(tmp_path, names)), Wishes())
    assert splits.reason.endswith(f"; {PAIR}, kept on one side of every fold")


def test_alike_images_that_given_splits_part_are_told(tmp_path):
    names = {
        f"{part}/{kind}/{part}{kind}{n}.png": 100 * p + 10 * k + n
        for p, part in enumerate(("train", "test"))
        for k, kind in enumerate(("cat", "dog"))
        for n in range(3)
    }
    names["test/dog/testdog0.png"] = names["train/dog/traindog0.png"]
    splits = plan_folds(open_study(labelled(tmp_path, names)), Wishes())
    assert splits.by == "given"
    assert splits.reason.endswith(f"; {PAIR}, 1 of them on both sides of a fold")


def test_where_no_image_is_like_another_nothing_is_told(tmp_path):
    names = {f"{kind}/{kind}{n}.png": 10 * k + n for k, kind in enumerate(("cat", "dog")) for n in range(4)}
    assert "equal" not in plan_folds(open_study(labelled(tmp_path, names)), Wishes()).reason
