"""Masks of a picture by ONNX Runtime, NumPy and Pillow alone: onnx_alone.py EXPORT IMAGE OUT_FOLDER."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def resized(x, shape):
    shrink = all(new <= old for new, old in zip(shape, x.shape[1:], strict=True))
    for axis, new in enumerate(shape, start=1):
        old, row, column = x.shape[axis], np.arange(new)[:, None], np.arange(x.shape[axis])
        at = np.clip((row + 0.5) * old / new - 0.5, 0, old - 1)
        means = (column >= row * old // new) & (column < -(-(row + 1) * old // new))
        weight = means.astype(np.float32) if shrink else np.clip(1 - np.abs(column - at), 0, 1)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ (weight / weight.sum(1, keepdims=True)).T, -1, axis)
    return x


def probabilities(session, model, pixels):
    before, divisor = model["before"], model["input"]["divisor"]
    if any(before[key] for key in ("flatten_light", "spacing", "neighbours", "window")):
        raise SystemExit("light, spacing, slices and windows are left out here; model.json describes them")
    rows, columns = before["size"] or [max(1, round(n / before["downsample"])) for n in pixels.shape[1:]]
    x = resized(pixels, (rows, columns))
    over = {"image": (0, 1, 2), "channel": (1, 2)}.get(before["normalise"])
    x -= x.mean(over, keepdims=True) if over else np.reshape(before["mean"], (-1, 1, 1))
    x /= x.std(over, keepdims=True) + 1e-12 if over else np.reshape(before["std"], (-1, 1, 1))
    axes, found = [{"x": 2, "y": 1}[name] for name in model["inference"]["flips"]], []
    for flips in itertools.chain(*(itertools.combinations(axes, n) for n in range(len(axes) + 1))):
        padded = np.pad(np.flip(x, flips), [(0, 0), (0, -rows % divisor), (0, -columns % divisor)], "reflect")
        answer = session.run(None, {"image": padded[None].astype(np.float32)})[0][0]
        found.append(np.flip(answer[:, :rows, :columns], flips) if answer.ndim == 3 else answer)
    return np.mean(found, axis=0)


def threshold(q, temperature, background):  # of the highest expected Dice
    p = 1 / (1 + (255 / np.where(q, q, 0.25) - 1) ** (1 / temperature))
    p.ravel()[np.flatnonzero(q == 0)[background:]] = 0
    cuts = np.arange(np.ceil(255 / (1 + 9**temperature)), 256)
    return (cuts[np.argmax([p[q >= c].sum() / ((q >= c).sum() + p.sum() + 1e-9) for c in cuts])] - 0.5) / 255


def main(folder, image, out):
    model = json.loads((Path(folder) / "model.json").read_text())
    mode = "L" if model["before"]["channels"] == 1 else "RGB"
    pixels = np.atleast_3d(np.asarray(Image.open(image).convert(mode), np.float64)).transpose(2, 0, 1)
    found = probabilities(onnxruntime.InferenceSession(str(Path(folder) / model["model"])), model, pixels)
    if found.ndim == 1:
        raise SystemExit(dict(zip(model["outputs"], found.tolist(), strict=True)))
    for q, (name, cut) in zip(np.rint(found * 255), model["after"]["thresholds"].items(), strict=True):
        cut = threshold(q, **cut) if isinstance(cut, dict) else cut
        Image.fromarray(resized(q[None], pixels.shape[1:])[0].round() >= cut * 255).save(f"{out}/{name}.png")


main(*sys.argv[1:])
