import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.inference.predictor import predict_tensor
from hilum.models import create
from hilum.planning.plan import Plan, TrainingPlan
from hilum.study.splits import Fold, Splits
from hilum.study.study import Case, Source, Study
from hilum.study.validation import hold_back
from hilum.tasks.segment import SEGMENT
from hilum.training.batches import draw_batch
from hilum.training.copies import with_copies
from hilum.training.loop import Trainer, make_fabric, train_fold
from hilum.training.samples import labelled_sample, masked_sample
from hilum.training.watching import (
    Watched,
    look,
    look_every,
    steps_beside_looks,
    watched_for,
    watched_score,
)

PLATEAU = TrainingPlan(schedule="plateau", plateau_factor=0.625, plateau_patience=2)


def samples(count=24, side=8):
    """Bright images are of the class, dark ones are not."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        label = float(index % 4 == 0)
        image = torch.from_numpy(rng.normal(2 * label - 1, 0.3, (1, side, side)).astype(np.float32))
        made.append(labelled_sample(f"case{index}", image, torch.tensor([label]), torch.ones(1)))
    return made


def plan(**training):
    settings = {"width": 4, "blocks": [1, 1], "dropout": 0.0}
    wanted = {"patch": [8, 8], "whole": True, "batch": 8, "rare_share": 0.0, "loss": "entropy", "warmup": 0}
    return Plan.model_validate(
        {
            "task": "classify",
            "data": {"channels": 1, "outputs": ["bright"], "size": [8, 8]},
            "model": {"name": "resnet", "settings": settings},
            "training": {**wanted, "ema": 0.0, "threads": 1, **training},
        }
    )


def trainer(settings, held_back=True):
    torch.manual_seed(0)
    network = create("resnet", 1, 1, **settings.model.settings)
    return Trainer(
        network,
        settings,
        samples(),
        0,
        make_fabric(settings),
        torch.ones(1),
        samples(12) if held_back else (),
    )


def accuracy(probability, batch):
    return {"accuracy": float(((probability > 0.5) == (batch.y > 0.5)).float().mean())}


def test_the_rate_falls_by_the_factor_after_two_epochs_without_a_better_score():
    seen = Watched()
    for score, scale in ((0.7, 1), (0.8, 1), (0.8, 1), (0.75, 0.625), (0.8, 0.625), (0.7, 0.625**2)):
        seen = seen.next(score, 0.5, 1, PLATEAU)
        assert seen.scale == pytest.approx(scale)
    assert (seen.score, seen.stopped) == (0.8, False)


@pytest.mark.parametrize(
    ("score", "loss", "stopped"), [(0.96, 0.09, True), (0.96, 0.2, False), (0.95, 0.05, False)]
)
def test_training_stops_above_the_score_and_below_the_loss(score, loss, stopped):
    assert Watched().next(score, loss, 1, TrainingPlan(stop_at=0.95, stop_loss=0.1)).stopped is stopped


def test_without_a_wish_nothing_stops_and_nan_is_never_best():
    seen = Watched().next(math.nan, 0.5, 3, TrainingPlan())
    assert (seen.stopped, seen.score, seen.best_step) == (False, None, 0)


def test_equal_scores_are_told_apart_by_the_loss():
    seen = Watched().next(0.9, 0.5, 1, TrainingPlan()).next(0.9, 0.4, 2, TrainingPlan())
    assert (seen.best_step, seen.loss, seen.waited) == (2, 0.4, 1)
    assert seen.next(0.9, 0.6, 3, TrainingPlan()).best_step == 2


def test_the_first_score_decides_and_outputs_are_meaned():
    assert watched_score({"val_loss": 1.0, "val_accuracy": 0.7, "val_auc": 0.9}) == pytest.approx(0.7)
    assert watched_score({"val_loss": 1.0, "val_dice_A": 0.5, "val_dice_B": 0.7}) == pytest.approx(0.6)
    assert watched_score({"val_loss": 0.3}) == pytest.approx(-0.3)


def test_looks_come_every_epoch_where_they_decide_and_forty_times_where_they_do_not():
    assert look_every(100, 5000, TrainingPlan(batch=10, schedule="plateau")) == 10
    assert look_every(100, 5000, TrainingPlan(batch=10)) == 125
    assert look_every(100, 5000, TrainingPlan(batch=10, stop_at=0.0)) == 10
    assert look_every(100, 200, TrainingPlan(batch=10)) == 10


def test_the_time_of_looks_is_set_aside():
    assert steps_beside_looks(100, 0.1, 0.0, 100, TrainingPlan(batch=10)) == 1000
    assert steps_beside_looks(100, 0.1, 1.0, 100, TrainingPlan(batch=10)) == 600
    assert steps_beside_looks(100, 0.1, 1.0, 100, TrainingPlan(batch=10, keep="best")) == 500


def test_a_look_scores_labels_together_and_leaves_the_network_as_it_was():
    settings = plan()
    network = create("resnet", 1, 1, **settings.model.settings).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen = look(network, samples(70), settings, accuracy)
    assert set(seen) == {"val_loss", "val_accuracy"}
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_look_at_masks_is_the_mean_over_images_of_any_size():
    settings = plan()
    network = create("unet", 1, 1, width=4, depth=2)
    masks = [
        masked_sample(f"m{side}", torch.zeros(1, side, side), torch.ones(1, side, side), torch.ones(1))
        for side in (11, 16)
    ]
    seen = look(network, masks, settings, lambda p, batch: {"dice_A": float(batch.y.mean())})
    assert seen["val_dice_A"] == pytest.approx(1.0)


def test_a_look_sees_what_prediction_gives():
    """Also where an image is padded to what the network takes."""
    torch.manual_seed(0)
    settings, network = plan(), create("unet", 1, 1, width=4, depth=3).eval()
    x, seen = torch.rand(1, 11, 13), []
    sample = masked_sample("m", x, (x > 0.5).float(), torch.ones(1))
    look(network, [sample], settings, lambda p, batch: seen.append(p[0]) or {})
    assert torch.equal(seen[0], predict_tensor(network, x, settings))


class Brightest(torch.nn.Module):
    """Answers the middle channel of what it sees, and remembers the shapes."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.ones(1)), []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        middle = x.shape[1] // 2
        return 20 * self.weight * (x[:, middle : middle + 1] - 0.5)


def deep(neighbours=0, shape=(11, 21, 20)):
    """A volume whose bright voxels are the target."""
    mask = (torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    return replace(masked_sample("v", mask.clone(), mask, torch.ones(1)), neighbours=neighbours)


@pytest.mark.parametrize("neighbours", [0, 2])
def test_volumes_are_looked_at_slice_by_slice(neighbours):
    network, settings = Brightest(), Plan(data={"outputs": ["a"], "neighbours": neighbours})
    settings.training.patch = [16, 16]
    seen = look(network, [deep(neighbours)], settings, lambda p, b: SEGMENT.measure(p, b, settings))
    assert seen["val_dice_a"] == 1.0
    assert seen["val_loss"] < 0.01
    assert sum(shape[0] for shape in network.seen) == 11
    assert {shape[1:] for shape in network.seen} == {(2 * neighbours + 1, 21, 20)}


def test_volumes_are_looked_at_block_by_block_where_blocks_are_learnt():
    network, settings = Brightest(), Plan(data={"outputs": ["a"], "dims": 3})
    settings.training.patch = [4, 8, 16]
    seen = look(network, [deep()], settings, lambda p, b: SEGMENT.measure(p, b, settings))
    assert seen["val_dice_a"] == 1.0
    assert {shape[2:] for shape in network.seen} == {(8, 16, 20)}
    assert len(network.seen) == 4


def test_training_learns_watches_and_stops_at_the_wish(tmp_path):
    settings = plan(stop_at=0.9, learning_rate=0.02)
    _, history = train_fold(trainer(settings), 300, tmp_path / "state.safetensors", None, accuracy)
    assert history.rows[-1]["val_accuracy"] > 0.9
    assert history.rows[-1]["step"] < 300


def test_the_best_weights_are_given_back(tmp_path):
    settings = plan(keep="best", learning_rate=0.02, schedule="constant")
    network, history = train_fold(trainer(settings), 30, tmp_path / "state.safetensors", None, accuracy)
    found = look(network, samples(12), settings, accuracy)
    best = max(row["val_accuracy"] for row in history.rows if "val_accuracy" in row)
    assert found["val_accuracy"] == pytest.approx(best)


def test_a_resumed_training_watches_on_exactly(tmp_path):
    settings = plan(schedule="plateau", plateau_patience=1, keep="best", learning_rate=0.02)
    whole, history = train_fold(trainer(settings), 24, tmp_path / "a.safetensors", None, accuracy)

    def stop(progress):
        if progress.step == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fold(trainer(settings), 24, tmp_path / "b.safetensors", stop, accuracy)
    again, resumed = train_fold(trainer(settings), 24, tmp_path / "b.safetensors", None, accuracy)
    pairs = zip(whole.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert [row["lr"] for row in history.rows] == [row["lr"] for row in resumed.rows]


def test_labelled_images_are_drawn_once_an_epoch():
    settings = plan(batch=6).training
    marked = [
        labelled_sample(str(i), torch.full((1, 8, 8), float(i)), torch.ones(1), torch.ones(1))
        for i in range(24)
    ]
    seen = [round(float(x.mean())) for step in range(4) for x in draw_batch(marked, settings, 0, step).x]
    assert sorted(seen) == list(range(24))
    assert seen != sorted(seen)


def test_rare_labels_are_drawn_as_often_as_others_where_wished():
    settings = plan(batch=400, rare_share=1.0).training
    rare = [
        labelled_sample(str(i), torch.zeros(1, 8, 8), torch.tensor([float(i == 0)]), torch.ones(1))
        for i in range(50)
    ]
    assert 0.4 < float(draw_batch(rare, settings, 0, 0).y.mean()) < 0.6


def test_a_quarter_of_copies_keeps_the_shares_of_the_classes():
    pictures = [
        labelled_sample(str(i), torch.zeros(1, 2, 2), torch.tensor([float(i >= 1349)]), torch.ones(1))
        for i in range(1349 + 3883)
    ]
    added = with_copies(pictures, TrainingPlan(augment_share=0.25), 0)[len(pictures) :]
    positive = sum(float(sample.label) for sample in added)
    assert (len(added) - positive, positive) == (337, 970)


def test_copies_are_moved_alike_with_their_masks_and_fill_up_to_a_number():
    image = torch.zeros(1, 16, 16)
    image[:, 4:12, 4:10] = 1
    settings = TrainingPlan.model_validate(
        {"augment_to": 5, "augmentation": {"rotate_deg": 90, "shift": 0.1}}
    )
    made = with_copies([masked_sample("a", image, image.clone(), torch.ones(1))] * 2, settings, 0)
    assert len(made) == 5
    assert not torch.equal(made[2].stack, made[0].stack)
    assert torch.allclose(made[2].stack[0], made[2].stack[1], atol=1e-6)
    again = with_copies([masked_sample("a", image, image.clone(), torch.ones(1))] * 2, settings, 0)
    assert all(torch.equal(one.stack, other.stack) for one, other in zip(made, again, strict=True))


def test_whole_groups_are_held_back(tmp_path):
    cases = tuple(
        Case(f"c{i}", Source(tmp_path / f"{i}.png"), labels={"sick": float(i % 2)}, group=f"g{i // 3}")
        for i in range(30)
    )
    study = Study(tmp_path, "", cases, classes=("sick",))
    names = tuple(case.name for case in cases)
    splits = hold_back(Splits("given", (Fold(names[:24], names[24:]),), "given"), study, 0.25)
    (fold,) = splits.folds
    group = {case.name: case.group for case in cases}
    assert not {group[name] for name in fold.train} & {group[name] for name in fold.val}
    assert len(fold.val) == 6
    assert sorted(fold.train + fold.val) == sorted(names[:24])
    assert hold_back(splits, study, 0.25) is splits


@pytest.mark.parametrize("share", [0.1, 0.15, 0.22, 0.3, 0.4, 0.45, 0.5])
def test_the_share_held_back_is_the_share_asked_for(share):
    cases = tuple(Case(f"c{n}", Source(Path(f"c{n}")), group=f"g{n}") for n in range(200))
    splits = Splits("given", (Fold(tuple(case.name for case in cases), ()),), "given")
    held = hold_back(splits, Study(Path(), "x", cases), share)
    assert len(held.folds[0].val) / 200 == pytest.approx(share, abs=0.011)
    assert f"{len(held.folds[0].val) / 2:.0f} % of the images" in held.reason


def test_images_that_may_not_be_parted_are_held_back_together():
    cases = [Case(f"c{n}", Source(Path(f"c{n}")), labels={"sick": 1.0}, group=f"g{n}") for n in range(24)]
    study, names = Study(Path(), "x", tuple(cases)), tuple(case.name for case in cases)
    linked = [(f"c{n}", f"c{n + 1}") for n in range(0, 24, 2)]
    splits = hold_back(Splits("given", (Fold(names, ()),), "given"), study, 0.25, together=linked)
    (fold,) = splits.folds
    assert len(fold.val) == 6
    assert all((a in fold.val) == (b in fold.val) for a, b in linked)


def test_a_training_that_ran_out_of_memory_looks_at_the_same_steps_when_resumed(tmp_path, monkeypatch):
    """Looks are counted by the planned batch, not by the smaller one that it goes on with."""
    settings = plan(keep="best", learning_rate=0.02)

    def starved():
        made = trainer(settings)
        step = made._step

        def _step(at, steps):
            if at == 1 and not made.halved:
                raise MemoryError
            return step(at, steps)

        made._step = _step
        return made

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    def looks(history):
        return [row["step"] for row in history.rows if "val_loss" in row]

    straight = train_fold(starved(), 12, tmp_path / "a.safetensors", None, accuracy)[1]
    with pytest.raises(KeyboardInterrupt):
        train_fold(starved(), 12, tmp_path / "b.safetensors", stop, accuracy)
    resumed = train_fold(starved(), 12, tmp_path / "b.safetensors", None, accuracy)[1]
    assert looks(straight) == looks(resumed) == [3, 6, 9, 12]


def test_what_held_back_samples_decide_is_named():
    assert watched_for(TrainingPlan()) == []
    assert watched_for(TrainingPlan(keep="best", stop_at=0.0)) == ["training.keep=best", "training.stop_at"]
    assert watched_for(TrainingPlan(watch=True, stop_loss=0.1)) == [
        "training.watch=true",
        "training.stop_loss",
    ]
