"""Samples of discs and a plan small enough to train on in a second."""

import pytest
import torch

from hilum.planning.plan import AugmentationPlan, DataPlan, ModelPlan, Plan, TrainingPlan
from hilum.training.loop import Trainer, make_fabric
from hilum.training.run import make_network
from hilum.training.samples import masked_sample


@pytest.fixture
def disc_sample(disc):
    """Makes a sample whose image is its mask plus noise: disc_sample(shape, centre, radius)."""

    def make(shape=(48, 48), centre=(24, 24), radius=10, name="disc", noise=0.1):
        generator = torch.Generator().manual_seed(sum(centre) + radius)
        mask = torch.from_numpy(disc(shape, centre, radius)).float()[None]
        image = mask + torch.randn(1, *shape, generator=generator) * noise
        return masked_sample(name, image, mask, torch.ones(1))

    return make


@pytest.fixture
def tiny_plan():
    """Makes a plan of a small U-Net on patches of 32 pixels; keywords go to its training group."""

    def make(**settings):
        moved = AugmentationPlan(rotate_deg=90, scale=0.2, flip=["x"], contrast=0.2, noise=0.1, elastic=2)
        settings = {
            "patch": [32, 32],
            "batch": 2,
            "threads": 1,
            "warmup": 3,
            "augmentation": moved,
            **settings,
        }
        return Plan(
            data=DataPlan(channels=1, outputs=["disc"], mean=[0.0], std=[1.0]),
            model=ModelPlan(settings={"width": 4, "depth": 2, "stem": 1}),
            training=TrainingPlan(**settings),
        )

    return make


@pytest.fixture
def trainer(disc_sample, tiny_plan):
    """Makes a trainer on two discs; keywords go to the plan's training group."""

    def make(fold=0, **settings):
        plan = tiny_plan(**settings)
        samples = [disc_sample((40, 40), (15, 18), 8, "a"), disc_sample((40, 48), (24, 20), 11, "b")]
        return Trainer(make_network(plan), plan, samples, fold, make_fabric(plan), torch.ones(1))

    return make
