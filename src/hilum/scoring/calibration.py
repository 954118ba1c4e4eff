"""Whether probabilities mean what they say, and temperature scaling where they do not.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax

from hilum.errors import HilumError
from hilum.scoring.overlap import ratio

Floats = NDArray[np.float64]
BINS = 15
TEMPERATURES = (0.05, 20.0)
_SMALLEST = 1e-7


def bin_sums(confidence: Floats, right: Floats, bins: int = BINS) -> tuple[NDArray[np.intp], Floats]:
    """The bin (N,) of each case and what it adds to it (N, 3): its confidence, whether it was right, one.

    Bins are `bins` equal parts of 0 to 1, closed above: a confidence of exactly 1/15 is in the first.
    """
    index = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    return index, np.stack((confidence, right, np.ones_like(confidence)), axis=1)


def error_of_bins(sums: Floats) -> Floats:
    """Expected calibration error (S,) of bin sums (S, bins, 3) of confidence, right ones, cases.

    That is the mean over cases of |confidence - share right| of their bin, 0 (best) to 1; NaN without cases.
    """
    gaps = np.abs(sums[..., 0] - sums[..., 1]).sum(axis=-1)
    return ratio(gaps, sums[..., 2].sum(axis=-1))


def reliability_curve(
    confidence: ArrayLike, right: ArrayLike, bins: int = BINS
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Points of the reliability plot: mean confidence, share right and cases of each bin that has any."""
    sums = _binned(np.asarray(confidence, np.float64), np.asarray(right, np.float64), bins)
    sums = sums[sums[:, 2] > 0]
    return sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2], sums[:, 2].astype(np.int64)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The T by which to divide logits so that held-out labels become most likely (least NLL).

    Binary: logits (N,), labels (N,) of 0, 1. Multi-label: logits and labels (N, K), each label 0, 1
    or NaN. Multi-class: logits (N, K), labels (N,) class indices. NaN labels are left out. T is kept
    within 0.05 to 20, which matters where the held-out data are told apart perfectly. Above 1 the
    model was too sure of itself. Fit on data that the model was not trained on.
    Raises HilumError where shapes do not fit or no label is known.
    """
    scores, truth = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    exclusive = scores.ndim == 2 and truth.ndim == 1
    if scores.shape[: truth.ndim] != truth.shape or scores.ndim > 2:
        raise HilumError(f"logits {scores.shape} and labels {truth.shape} do not fit together")
    known = ~np.isnan(truth)
    if not known.any():
        raise HilumError("no label is known: a temperature needs labelled held-out cases")
    scores, truth = scores[known], truth[known]

    def loss(log_temperature: float) -> float:
        return _nll(scores / np.exp(log_temperature), truth, exclusive)

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(logits: ArrayLike, temperature: float, exclusive: bool = False) -> Floats:
    """Calibrated probabilities of the same shape: softmax over the last axis if `exclusive`, else sigmoid."""
    scores = np.asarray(logits, np.float64) / temperature
    return np.asarray(softmax(scores, axis=-1) if exclusive else expit(scores), np.float64)


def logits_of(probability: ArrayLike, exclusive: bool = False) -> Floats:
    """Logits of probabilities (of an ensemble, say), so that `apply_temperature(..., 1)` gives them back."""
    values = np.clip(np.asarray(probability, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(values) if exclusive else np.log(values) - np.log1p(-values), np.float64)


def _nll(scores: Floats, truth: Floats, exclusive: bool) -> float:
    if exclusive:
        rows: Any = log_softmax(scores, axis=1)[np.arange(len(truth)), truth.astype(np.intp)]
        return float(-rows.mean())
    return float(-(truth * log_expit(scores) + (1 - truth) * log_expit(-scores)).mean())


def _binned(confidence: Floats, right: Floats, bins: int) -> Floats:
    index, parts = bin_sums(confidence, right, bins)
    sums = np.zeros((bins, 3))
    np.add.at(sums, index, parts)
    return sums
