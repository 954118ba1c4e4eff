"""The classic Keras U-Net of the lung histology tutorial (LungNeuralNet, 2018), one network a target."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from job import read_job
from keras import layers, ops

WIDTHS = (64, 96, 128, 192, 256, 256, 256, 256)
TILE = 512
LEAST_SHARE = 0.0033  # of the target in a tile that is trained on


def unet(channels: int) -> keras.Model:
    """Eight levels with ELU; 9,977,569 parameters at three channels."""

    def convolution(x: Any, width: int) -> Any:
        return layers.Conv2D(width, 3, padding="same", activation="elu", kernel_initializer="he_normal")(x)

    given = keras.Input((channels, None, None))
    x, skips = given, []
    for level, width in enumerate(WIDTHS):
        x = convolution(layers.MaxPooling2D()(x) if level else x, width)
        x = convolution(x, width) if level < len(WIDTHS) - 1 else x
        skips.append(x)
    for width, skip in zip(WIDTHS[-2::-1], skips[-2::-1], strict=True):
        x = convolution(layers.Concatenate(axis=1)([layers.UpSampling2D()(x), skip]), width)
    x = convolution(x, WIDTHS[0])
    return keras.Model(given, layers.Conv2D(1, 1, activation="sigmoid")(x))


def loss(truth: Any, found: Any) -> Any:
    """Cross-entropy and Dice."""
    both = ops.sum(truth * found)
    dice = (2 * both + 1) / (ops.sum(truth) + ops.sum(found) + 1)
    return ops.mean(keras.losses.binary_crossentropy(truth, found)) + 1 - dice


def starts(size: int, tile: int, more: int) -> list[int]:
    """Evenly spaced tiles along one axis; `more` of them where there is more than one."""
    count = max(1, round(size / tile))
    count += more if size > tile else 0
    return [int(at) for at in np.linspace(0, size - tile, count).round()] if size > tile else [0]


def windows(shape: tuple[int, ...], tile: tuple[int, int], more: int = 0) -> list[tuple[slice, slice]]:
    """All tiles of an image."""
    rows, columns = (starts(size, side, more) for size, side in zip(shape, tile, strict=True))
    return [(slice(y, y + tile[0]), slice(x, x + tile[1])) for y in rows for x in columns]


def main() -> None:
    """Adam at a constant rate, batches of one tile, the networks in turn; checkpoints of one training."""
    keras.config.set_image_data_format("channels_first")
    job = read_job()
    keras.utils.set_random_seed(job.seed)
    height, width = (min(TILE, side // 128 * 128) for side in job.smallest)
    tile = (height, width)
    images = {key: job.image(key).astype(np.float32) for key in job.train}
    mean = np.mean([image.mean((1, 2)) for image in images.values()], 0)[:, None, None]
    spread = np.mean([image.std((1, 2)) for image in images.values()], 0)[:, None, None]
    networks = [unet(len(mean)) for _ in job.targets]
    for network in networks:
        network.compile(keras.optimizers.Adam(1e-4), loss)
    places = [(key, window) for key in images for window in windows(images[key].shape[1:], tile)]
    masks = {key: job.masks(key) for key in job.train}
    pools = [[p for p in places if masks[p[0]][t][p[1]].mean() >= LEAST_SHARE] for t in range(len(networks))]
    rng, turn = np.random.default_rng(job.seed), iter(range(1 << 40))

    def step() -> int:
        target = next(turn) % len(networks)
        pool = pools[target]
        key, window = pool[int(rng.integers(len(pool)))]
        x = ((images[key][(slice(None), *window)] - mean) / spread)[None]
        networks[target].train_on_batch(x, masks[key][target][window][None, None].astype(np.float32))
        return int(x[0, 0].size)

    def predict(image: Any) -> Any:
        x = (image.astype(np.float32) - mean) / spread
        total, weight = np.zeros((len(networks), *image.shape[1:])), np.zeros(image.shape[1:])
        for window in windows(image.shape[1:], tile, more=1):
            weight[window] += 1
            for target, network in enumerate(networks):
                total[target][window] += network.predict_on_batch(x[(slice(None), *window)][None])[0, 0]
        return total >= 0.5 * weight

    parameters = networks[0].count_params()
    facts = {"schedule": "one training, checkpoints", "patch": tile, "batch": 1, "parameters": parameters}
    job.train_until_spent(job.begin(["keras", "torch"], **facts), step, predict)


if __name__ == "__main__":
    main()
