"""Networks of which the right explanation is known."""

import pytest
import torch
from torch import nn


class CornerClassifier(nn.Module):
    """Sees only how bright the top left quarter is: logit 0 rises with it, logit 1 falls."""

    def __init__(self, quarter: int = 8) -> None:
        super().__init__()
        self.quarter = quarter
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        nn.init.constant_(self.conv.weight, 1.0)

    def forward(self, x):
        features = self.conv(x).relu()
        corner = features[..., : self.quarter, : self.quarter].mean((1, 2, 3))
        return torch.stack([4 * corner - 2, 2 - 4 * corner], 1)


class BrightSegmenter(nn.Module):
    """A pixel is target 0 where the image is bright, target 1 where it is dark; sides are multiples of 4."""

    divisor = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.act = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.conv.weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
            self.conv.bias[:] = torch.tensor([0.0, 1.0])

    def forward(self, x):
        if x.shape[-1] % 4 or x.shape[-2] % 4:
            raise ValueError(f"sides {tuple(x.shape)} are not padded")
        return 20 * (self.act(self.conv(x)) - 0.5)


@pytest.fixture
def corner():
    return CornerClassifier().eval()


@pytest.fixture
def segmenter():
    return BrightSegmenter().eval()
