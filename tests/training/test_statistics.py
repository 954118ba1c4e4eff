import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from hilum.planning.plan import TrainingPlan
from hilum.training.loop import train_fold
from hilum.training.statistics import count_batches, renew_statistics


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 3),
        nn.BatchNorm2d(2),
    )


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [3 + 2 * torch.randn(4, 1, 12, 12, generator=generator) for _ in range(5)]


def test_the_statistics_are_those_that_pytorch_measures(network, batches):
    network[3].p = 0.0  # PyTorch measures with dropout on
    other = copy.deepcopy(network)
    update_bn(batches, other)
    renew_statistics(network, batches)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, msg=name)


def test_the_first_layers_statistics_by_hand(network, batches):
    with torch.no_grad():
        seen = torch.stack([network[0](x) for x in batches]).movedim(2, 0).flatten(1)
    renew_statistics(network, batches)
    torch.testing.assert_close(network[1].running_mean, seen.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network[1].running_var, seen.var(1), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_stays_off_and_all_else_as_it_was(network, batches, training):
    network.train(training)
    other = copy.deepcopy(network)
    for one in (network, other):
        renew_statistics(one, batches)
    assert torch.equal(network[5].running_mean, other[5].running_mean)
    assert [part.training for part in network.modules()] == [training] * 7
    assert [network[1].momentum, network[5].momentum] == [0.1, 0.1]
    assert torch.equal(network[0].weight, other[0].weight)


def test_a_network_without_batch_normalisation_sees_no_batch():
    def never():
        raise AssertionError("drawn")
        yield

    renew_statistics(nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2)), never())


def test_few_steps_pay_for_few_batches():
    plan = TrainingPlan(norm_batches=60)
    assert [count_batches(plan, steps) for steps in (1, 30, 300, 1800, 9000)] == [1, 1, 10, 60, 60]
    assert count_batches(TrainingPlan(), 9000) == 0


@pytest.mark.parametrize("settings", [{}, {"stages": [2, 1]}, {"precision": "bf16-mixed"}])
def test_a_training_ends_with_statistics_of_its_averaged_weights(trainer, tmp_path, settings):
    plain, _ = train_fold(trainer(**settings), 90, tmp_path / "a.safetensors")
    network, _ = train_fold(trainer(norm_batches=60, **settings), 90, tmp_path / "b.safetensors")
    again, _ = train_fold(trainer(norm_batches=60, **settings), 90, tmp_path / "c.safetensors")
    changed = {
        name
        for name, value in plain.state_dict().items()
        if not torch.equal(value, network.state_dict()[name])
    }
    assert changed
    assert all("running" in name or "num_batches" in name for name in changed)
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.isfinite(value).all()
    counted = [value for name, value in network.state_dict().items() if "num_batches" in name]
    assert {int(value) for value in counted} == {3}


def test_averages_over_many_steps_answer_better_with_statistics_of_their_own(trainer, tmp_path):
    """The loss on the samples, of weights averaged over 60 steps of a high rate."""
    settings = {"ema": 0.98, "schedule": "constant", "learning_rate": 3e-2, "batch": 4}
    losses = []
    for count in (0, 60):
        made = trainer(norm_batches=count, **settings)
        network, _ = train_fold(made, 300, tmp_path / f"{count}.safetensors")
        with torch.no_grad():
            answers = [network(sample.stack[None, :1])[0] for sample in made.samples]
        wanted = [sample.stack[1:] for sample in made.samples]
        found = [
            float(nn.functional.binary_cross_entropy_with_logits(a, w))
            for a, w in zip(answers, wanted, strict=True)
        ]
        losses.append(sum(found))
    assert losses[1] < losses[0]
