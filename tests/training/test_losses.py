import math

import pytest
import torch
from torch.nn import functional as F

from hilum.errors import PlanError
from hilum.training.losses import (
    LOSSES,
    Wanted,
    activate,
    dice,
    dice_by_image,
    entropy,
    find_loss,
    negative_dice,
)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 8, 8, generator=generator)
    y = (torch.rand(3, 2, 8, 8, generator=generator) > 0.6).float()
    return logits, y


def wanted(y, known=None, weight=None, classes=None, activation="sigmoid"):
    b, k = y.shape[:2]
    return Wanted(
        y,
        torch.ones(b, k) if known is None else known,
        torch.ones(b) if weight is None else weight,
        torch.ones(k) if classes is None else classes,
        activation,
    )


def test_cross_entropy_is_that_of_torch(pair):
    logits, y = pair
    expected = F.binary_cross_entropy_with_logits(logits, y)
    torch.testing.assert_close(entropy(logits, wanted(y)), expected)


def test_softmax_with_background_is_cross_entropy_over_one_more_class():
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    index = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    y = F.one_hot(index, 3).movedim(-1, 1)[:, 1:].float()
    full = torch.cat([torch.zeros(2, 1, 4, 4), logits], 1)
    found = entropy(logits, wanted(y, activation="softmax+background"))
    torch.testing.assert_close(found, F.cross_entropy(full, index))


def test_dice_over_the_batch_is_monai_s(pair):
    from monai.losses import DiceLoss

    logits, y = pair
    theirs = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)(logits, y)
    torch.testing.assert_close(dice(logits, wanted(y)), theirs)


def test_dice_by_image_is_monai_s(pair):
    from monai.losses import DiceLoss

    logits, y = pair
    theirs = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(logits, y)
    torch.testing.assert_close(dice_by_image(logits, wanted(y)), theirs)


def test_dice_by_hand():
    """Certain of 4 pixels of 8 where 4 others are true: 2 * 2 + 1 over 4 + 4 + 1."""
    logits = torch.tensor([[[[40.0] * 4 + [-40.0] * 4]]])
    y = torch.tensor([[[[0.0, 0, 1, 1, 1, 1, 0, 0]]]])
    assert dice(logits, wanted(y)).item() == pytest.approx(1 - 5 / 9, abs=1e-6)
    assert negative_dice(logits, wanted(y)).item() == pytest.approx(-5 / 9, abs=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "softmax+background"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_every_loss_has_finite_gradients_and_prefers_the_truth(name, activation, scale):
    index = torch.randint(0, 2, (2, 6, 6), generator=torch.Generator().manual_seed(0))
    y = F.one_hot(index, 2).movedim(-1, 1).float()
    logits = (torch.randn(y.shape, generator=torch.Generator().manual_seed(1)) * scale).requires_grad_()
    loss = find_loss(name)
    value = loss(logits, wanted(y, activation=activation))
    value.backward()
    assert torch.isfinite(logits.grad).all()
    best = loss((y - 0.5) * 40, wanted(y, activation=activation))
    assert best < value


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_step_along_the_gradient_lowers_every_loss(name, pair):
    logits, y = pair[0].clone().requires_grad_(), pair[1]
    loss = find_loss(name)
    before = loss(logits, wanted(y))
    before.backward()
    assert loss(logits.detach() - 0.1 * logits.grad / logits.grad.norm(), wanted(y)) < before


@pytest.mark.parametrize("name", ["entropy", "dice", "bce+dice", "bce+dice-by-image"])
def test_what_is_not_annotated_contributes_nothing(name, pair):
    logits, y = pair
    known = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    other = y.clone()
    other[0, 1] = 1 - other[0, 1]
    moved = logits.clone().requires_grad_()
    loss = find_loss(name)
    value = loss(moved, wanted(y, known))
    value.backward()
    torch.testing.assert_close(value.detach(), loss(logits, wanted(other, known)))
    assert (moved.grad[0, 1] == 0).all()
    assert (moved.grad[1] != 0).any()


def test_nothing_known_at_all_is_no_nan(pair):
    logits, y = pair
    nothing = wanted(y, torch.zeros(3, 2))
    assert all(math.isfinite(find_loss(name)(logits, nothing)) for name in ("entropy", "dice", "bce+dice"))


def test_a_weight_of_two_counts_like_two_samples(pair):
    logits, y = pair
    twice = wanted(y[[0, 1, 1]])
    weighted = wanted(y[[0, 1]], weight=torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(entropy(logits[[0, 1]], weighted), entropy(logits[[0, 1, 1]], twice))
    torch.testing.assert_close(dice(logits[[0, 1]], weighted), dice(logits[[0, 1, 1]], twice))


def test_probabilities_of_exclusive_outputs_leave_room_for_the_background(pair):
    found = activate(pair[0], "softmax+background")
    assert (found.sum(1) < 1).all()
    torch.testing.assert_close(activate(pair[0], "softmax").sum(1), torch.ones(3, 8, 8))


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(PlanError, match=r"bce\+dice"):
        find_loss("focal")


def test_the_tutorial_s_dice_passes_over_what_is_not_annotated(pair):
    logits, y = pair
    known = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    without = y.clone()
    without[0, 1] = 0
    found = negative_dice(logits, wanted(y, known=known))
    torch.testing.assert_close(found, negative_dice(logits, wanted(without, known=known)))
    assert found.item() != pytest.approx(negative_dice(logits, wanted(y)).item(), abs=1e-4)


def test_the_weight_of_a_class_is_that_of_the_label_not_of_its_doubt():
    logits, classes = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0.5, 3.0, 9.0])
    y = torch.tensor([[0.9, 0.05, 0.05]])
    found = entropy(logits, wanted(y, classes=classes, activation="softmax"))
    torch.testing.assert_close(found, 0.5 * F.cross_entropy(logits, y))
