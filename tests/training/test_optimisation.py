import copy
import math

import pytest
import torch
from torch import nn

from hilum.planning.plan import TrainingPlan
from hilum.training.optimisation import (
    EVERY,
    EVERY_STEP,
    WeightAverage,
    Weights,
    channels_last,
    clip_gradients,
    count_batches,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)


def test_the_rate_warms_up_and_falls_to_zero_over_the_planned_steps():
    plan = TrainingPlan(learning_rate=1.0, warmup=10)
    rates = [learning_rate(plan, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(1, rel=0.03)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[100] == 0
    assert rates[50] == pytest.approx(0.5)


def test_a_constant_rate_stays():
    plan = TrainingPlan(learning_rate=0.2, warmup=0, schedule="constant")
    assert {learning_rate(plan, step, 10) for step in range(10)} == {0.2}


def test_the_average_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = WeightAverage(network, 0.9)
    expected = 0.0
    for step, value in enumerate([1.0, 3.0, -2.0]):
        nn.init.constant_(network.weight, value)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-5)


def test_a_long_average_of_a_steady_network_is_that_network():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    average = WeightAverage(network, 0.99)
    network(torch.randn(4, 1, 8, 8))
    for step in range(1500):
        average.update(network, step)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(average.network.state_dict()[name], value, atol=1e-4, rtol=1e-4)


def test_later_on_the_average_takes_in_every_fourth_step_as_four():
    """Against an average of every step of a wandering weight: apart by less than it moves in four steps."""
    network = nn.Linear(1, 1, bias=False)
    average, everything = WeightAverage(network, 0.99), network.weight.item()
    moved = []
    for step in range(2000):
        value = math.sin(step / 150)
        nn.init.constant_(network.weight, value)
        before = average.network.weight.item()
        average.update(network, step)
        moved.append(average.network.weight.item() != before)
        decay = min(0.99, (1 + step) / (10 + step))
        everything = decay * everything + (1 - decay) * value
        assert average.network.weight.item() == pytest.approx(everything, abs=4 / 150)
    assert all(moved[:EVERY_STEP])
    assert sum(moved[EVERY_STEP:]) == len(moved[EVERY_STEP:]) // EVERY


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_short_average_takes_in_every_step(decay):
    """Without averaging what is kept is the network of the last step, whichever that is."""
    network = nn.Linear(1, 1, bias=False)
    average, expected = WeightAverage(network, decay), network.weight.item()
    for step in range(100):
        nn.init.constant_(network.weight, float(step))
        average.update(network, step)
        now = min(decay, (1 + step) / (10 + step))
        expected = now * expected + (1 - now) * step
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-5)


def test_the_average_is_a_network_of_its_own():
    network = nn.Linear(2, 2)
    average = WeightAverage(network, 0.9)
    assert average.network.weight.data_ptr() != network.weight.data_ptr()
    assert not average.network.training


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimiser_learns_and_spares_norms_and_biases_the_decay(name):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    plan = TrainingPlan(optimiser=name, learning_rate=0.01, weight_decay=0.5)
    optimiser = make_optimiser(network.parameters(), plan)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {decay[id(p)] for p in network.parameters() if p.ndim > 1} == {0.5}
    assert {decay[id(p)] for p in network.parameters() if p.ndim <= 1} == {0.0}
    set_learning_rate(optimiser, 0.02)
    assert {group["lr"] for group in optimiser.param_groups} == {0.02}
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(60):
        loss = (network(x)[:, 0] - x[:, 0]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert math.isfinite(losses[-1])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("largest", [0.01, 1e6, math.inf])
def test_gradients_are_clipped_as_pytorch_clips_them(name, largest):
    """Two networks alike: one clipped while its optimiser reads the gradients, the other before it."""
    one = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    other, plan = copy.deepcopy(one), TrainingPlan(optimiser=name, learning_rate=0.01)
    mine, plain = make_optimiser(one.parameters(), plan), make_optimiser(other.parameters(), plan)
    for seed in range(5):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)) * (1 + 10 * seed)
        for network, optimiser in ((one, mine), (other, plain)):
            optimiser.zero_grad()
            network(x).square().mean().backward()
        norm = clip_gradients(mine, one.parameters(), largest)
        expected = torch.nn.utils.clip_grad_norm_(other.parameters(), largest)
        torch.testing.assert_close(norm, expected)
        mine.step()
        plain.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_gradient_that_is_no_number_shows_in_the_norm():
    network = nn.Linear(2, 1)
    optimiser = make_optimiser(network.parameters(), TrainingPlan())
    network(torch.tensor([[math.inf, 1.0]])).sum().backward()
    assert not math.isfinite(float(clip_gradients(optimiser, network.parameters(), 1.0)))


def test_channels_last_changes_no_answer():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 1, 3)).eval()
    x = torch.randn(1, 3, 12, 12)
    before = network(x)
    torch.testing.assert_close(channels_last(network)(x), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_weights_in_memory_order_move_as_the_networks_own_would(name):
    """Two networks alike, laid out channels last: one moved by its views, the other by its parameters."""
    torch.manual_seed(0)
    one = channels_last(
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ConvTranspose2d(8, 4, 2, 2),
            nn.Conv2d(4, 1, 1, bias=False),
        )
    )
    other, plan = copy.deepcopy(one), TrainingPlan(optimiser=name, weight_decay=0.1)
    weights = Weights(one)
    by_views, plainly = make_optimiser(weights.views, plan), make_optimiser(other.parameters(), plan)
    for seed in range(5):
        x = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
        for network in (one, other):
            network(x.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        weights.take_gradients()
        by_views.step()
        plainly.step()
        weights.clear_gradients()
        plainly.zero_grad()
        assert all(parameter.grad is None for parameter in (*weights.views, *one.parameters()))
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-7, rtol=1e-5)
    assert all(view.is_contiguous() for view in weights.views)


def test_frozen_weights_and_those_without_a_gradient_stay():
    network = channels_last(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)))
    network[0].weight.requires_grad_(False)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    weights = Weights(network)
    assert [view.requires_grad for view in weights.views] == [False, True, True, True]
    network[0](torch.ones(1, 1, 8, 8)).sum().backward()
    weights.take_gradients()
    make_optimiser(weights.views, TrainingPlan(weight_decay=0.0)).step()
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert moved == [False, True, False, False]


def test_weights_with_one_input_or_of_one_pixel_are_contiguous_views_too():
    network = channels_last(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv3d(2, 3, (1, 3, 3))))
    weights = Weights(network)
    for view, parameter in zip(weights.views, network.parameters(), strict=True):
        assert view.is_contiguous()
        assert view.data_ptr() == parameter.data_ptr()


def test_few_steps_pay_for_few_batches():
    plan = TrainingPlan(norm_batches=60)
    assert [count_batches(plan, steps) for steps in (1, 30, 300, 1800, 9000)] == [1, 1, 10, 60, 60]
    assert count_batches(TrainingPlan(), 9000) == 0
