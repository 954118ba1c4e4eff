"""A random forest on multi-scale filter features, as pixel classifiers such as ilastik and QuPath use."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from job import Meter, read_job
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

PIXELS = 200_000  # sampled for training, over all images together
TREES = 50
LEAF = 10
BLOCK = 1 << 18


def features(image: Any) -> Any:
    """Intensity, edges and texture at five scales of each channel: (C, Y, X) -> (Y, X, F), float32."""
    scaled = image.astype(np.float32) / 255
    found = multiscale_basic_features(scaled, sigma_min=1, sigma_max=16, workers=1, channel_axis=0)
    return found.astype(np.float32, copy=False)


class Pixels:
    """The sampled pixels of the images seen so far, in an order fixed by the seed."""

    def __init__(self, job: Any) -> None:
        self.job, self.rng = job, np.random.default_rng(job.seed)
        self.waiting = list(self.rng.permutation(job.train))
        self.each = max(50, PIXELS // len(job.train))
        self.x: list[Any] = []
        self.y: list[Any] = []
        self.seen = 0

    def take(self) -> None:
        """Features of the next image: half of the samples from within any target, half from anywhere."""
        key = str(self.waiting.pop())
        image, masks = self.job.image(key), self.job.masks(key)
        inside = np.flatnonzero(masks.any(0))
        chosen = self.rng.integers(image[0].size, size=self.each // 2)
        if len(inside):
            chosen = np.concatenate([chosen, self.rng.choice(inside, self.each // 2)])
        table = features(image).reshape(image[0].size, -1)
        self.x.append(table[chosen])
        self.y.append(masks.reshape(len(masks), -1).T[chosen])
        self.seen += image[0].size


def main() -> None:
    """Half of each budget on the features of new images, the rest on trees; at most 50 trees."""
    warnings.filterwarnings("ignore", message="Warm-start")
    job = read_job()
    meter = job.begin(["scikit-learn", "scikit-image", "numpy"], schedule="one training; trees are added")
    pixels, forest = Pixels(job), new_forest(job.seed)
    for budget in job.budgets:
        had = len(pixels.x)
        while pixels.waiting and (not pixels.x or meter.cpu_s() < budget / 2):
            pixels.take()
        if len(pixels.x) > had:
            forest = new_forest(job.seed)
        grow(forest, pixels, meter, budget)
        complete = len(forest.estimators_) == TREES and not pixels.waiting
        job.checkpoint(
            meter,
            budget,
            len(forest.estimators_),
            pixels.seen,
            lambda image: predict(forest, image),  # noqa: B023
            images=len(pixels.x),
            complete=complete,
        )
        if complete:
            break


def new_forest(seed: int) -> RandomForestClassifier:
    """A forest without trees yet, each class weighed as it is sampled."""
    return RandomForestClassifier(0, min_samples_leaf=LEAF, warm_start=True, n_jobs=1, random_state=seed)


def grow(forest: RandomForestClassifier, pixels: Pixels, meter: Meter, budget: float) -> None:
    """Add trees until the budget is spent or there are enough."""
    x, y = np.concatenate(pixels.x), np.concatenate(pixels.y).astype(np.uint8)
    while forest.n_estimators == 0 or (forest.n_estimators < TREES and meter.cpu_s() < budget):
        forest.n_estimators += 1
        forest.fit(x, y if y.shape[1] > 1 else y[:, 0])


def predict(forest: RandomForestClassifier, image: Any) -> Any:
    """Masks (T, Y, X) of an image (C, Y, X)."""
    table = features(image).reshape(image[0].size, -1)
    parts = [positive(forest, table[at : at + BLOCK]) for at in range(0, len(table), BLOCK)]
    return (np.concatenate(parts, axis=1) >= 0.5).reshape(-1, *image.shape[1:])


def positive(forest: RandomForestClassifier, x: Any) -> Any:
    """Probability of each target (T, N)."""
    found = forest.predict_proba(x)
    found = found if isinstance(found, list) else [found]
    return np.stack([p[:, 1] if p.shape[1] > 1 else np.zeros(len(p)) for p in found])


if __name__ == "__main__":
    main()
