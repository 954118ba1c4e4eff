"""How sure an ensemble is: every fold and every mirrored copy has a say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import HilumError
from hilum.inference.predictor import flip_sets, predict_tensor
from hilum.planning.plan import Plan


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Mean probability of the members, (K, *S) or (K,), and how unsure it is, in bits from 0 to 1.

    `entropy` is that of the mean: 0 where all are sure and agree, 1 at a probability of one half.
    `disagreement` is the part of it that comes from members contradicting each other (their mutual
    information with the answer, Houlsby et al. 2011); with one member it is 0.
    """

    probability: NDArray[np.float32]
    entropy: NDArray[np.float32]
    disagreement: NDArray[np.float32]
    members: int

    @property
    def scores(self) -> NDArray[np.float32]:
        """Uncertainty of each output in this case (K,), 0 to 1.

        The mean entropy weighted by the probability, so that background of which all are sure counts nothing.
        """
        return _weighted(self.entropy, self.probability)

    @property
    def disagreements(self) -> NDArray[np.float32]:
        """Disagreement of the members on each output in this case (K,), 0 to 1, weighted alike."""
        return _weighted(self.disagreement, self.probability)

    @property
    def score(self) -> float:
        """Uncertainty of the case: that of its most uncertain output."""
        return float(self.scores.max())


def uncertainty(networks: Sequence[nn.Module], x: Tensor, plan: Plan) -> Uncertainty:
    """Ask every network, and for each the mirrored copies that the plan averages, about an image (C, *S).

    Raises HilumError where there is no network.
    """
    total: Tensor | None = None
    alone: Tensor | None = None
    count = 0
    for probability in members(networks, x, plan):
        total = probability if total is None else total + probability
        alone = binary_entropy(probability) if alone is None else alone + binary_entropy(probability)
        count += 1
    if total is None or alone is None:
        raise HilumError("an ensemble needs at least one network, got none")
    mean = total / count
    entropy = binary_entropy(mean)
    disagreement = (entropy - alone / count).clamp(min=0)
    return Uncertainty(mean.numpy(), entropy.numpy(), disagreement.numpy(), count)


def members(networks: Sequence[nn.Module], x: Tensor, plan: Plan) -> Iterator[Tensor]:
    """Probabilities (K, *S) or (K,) of each network for each mirrored copy, turned back."""
    copies = flip_sets(plan, min(x.ndim - 1, plan.data.dims))
    single = plan.model_copy(deep=True)
    single.inference.flips = []
    for network in networks:
        for flips in copies:
            with torch.inference_mode():
                probability = predict_tensor(network, x.flip(flips), single).float()
                yield (probability.flip(flips) if probability.ndim > 1 else probability).clone()


def binary_entropy(probability: Tensor) -> Tensor:
    """Entropy in bits of yes or no, 0 to 1.

    >>> binary_entropy(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0., 1., 0.])
    """
    p = probability.clamp(0, 1)
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)) / float(np.log(2)) + 0.0


def _weighted(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    flat, share = values.reshape(len(values), -1), weight.reshape(len(weight), -1).astype(np.float64)
    return np.asarray((flat * share).sum(1) / np.maximum(share.sum(1), 1e-12), np.float32)
