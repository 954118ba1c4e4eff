import math
import os
import shutil
import signal

import pytest
import torch
from torch import nn

from hilum.errors import RunError, TrainingError
from hilum.training import companions, loop, skipping
from hilum.training.loop import train_fold


def weights(network):
    return torch.cat([value.double().flatten() for value in network.state_dict().values()])


def numbers(history):
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "cpu_s")} for row in history.rows
    ]


@pytest.mark.parametrize("stages", [[1], [2, 1]])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    trainer, tmp_path, precision, optimiser, stages
):
    settings = {"precision": precision, "optimiser": optimiser, "learning_rate": 1e-3, "stages": stages}
    settings["norm_batches"] = 1
    whole, history = train_fold(trainer(**settings), 30, tmp_path / "whole.safetensors")

    def stop_half_way(progress):
        if progress.step == 15:
            raise KeyboardInterrupt

    path = tmp_path / "half.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_fold(trainer(**settings), 30, path, stop_half_way)
    assert path.is_file()
    resumed, again = train_fold(trainer(**settings), 30, path)
    assert torch.equal(weights(whole), weights(resumed))
    assert len(again.rows) == 30
    assert numbers(history) == numbers(again)


def test_the_same_seed_trains_the_same_network_and_folds_differ(trainer, tmp_path):
    one, two = (train_fold(trainer(), 5, tmp_path / f"{k}.safetensors")[0] for k in "ab")
    other = train_fold(trainer(fold=1), 5, tmp_path / "c.safetensors")[0]
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))


def test_a_disc_is_learnt(trainer, tmp_path):
    network, history = train_fold(trainer(batch=4, learning_rate=1e-2), 60, tmp_path / "s.safetensors")
    losses = [row["loss"] for row in history.rows]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert not network.training


def test_the_history_says_where_it_stood(trainer, tmp_path):
    seen = []
    measured = train_fold(
        trainer(), 6, tmp_path / "s.safetensors", seen.append, lambda probability, batch: {"dice_disc": 0.5}
    )[1]
    row = dict(measured.rows[-1])
    assert row["step"] == 6
    assert row["dice_disc"] == 0.5
    assert row["loss"] > 0
    assert row["seconds"] > 0
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1].steps == 6


def test_long_trainings_keep_a_readable_number_of_rows(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOGGED_ROWS", 4)
    history = train_fold(trainer(), 10, tmp_path / "s.safetensors")[1]
    assert [row["step"] for row in history.rows] == [2, 4, 6, 8, 10]


def test_a_loss_that_stays_nan_stops_with_what_to_try(trainer, tmp_path, monkeypatch):
    broken = trainer()
    broken.loss = lambda logits, wanted: logits.sum() * math.nan
    monkeypatch.setattr(skipping, "NAN_LIMIT", 3)
    before = [value.clone() for value in broken.network.parameters()]
    with pytest.raises(TrainingError, match=r"--set training\.learning_rate="):
        train_fold(broken, 30, tmp_path / "s.safetensors")
    assert all(torch.equal(one, two) for one, two in zip(before, broken.network.parameters(), strict=True))


def test_one_bad_step_moves_nothing_and_stops_nothing(trainer, tmp_path):
    odd = trainer()
    real, calls = odd.loss, []

    def once_nan(logits, wanted):
        calls.append(1)
        return real(logits, wanted) * (math.nan if len(calls) == 3 else 1)

    odd.loss = once_nan
    network, history = train_fold(odd, 6, tmp_path / "s.safetensors")
    assert torch.isfinite(weights(network)).all()
    assert math.isnan(history.rows[2]["loss"])
    assert math.isfinite(history.rows[3]["loss"])


def test_a_finished_state_trains_no_further(trainer, tmp_path):
    path = tmp_path / "s.safetensors"

    def stop_at_the_end(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fold(trainer(), 4, path, stop_at_the_end)
    network, history = train_fold(trainer(), 4, path)
    assert torch.isfinite(weights(network)).all()
    assert [row["step"] for row in history.rows] == [1, 2, 3, 4]


def test_the_state_is_saved_now_and_then(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(companions, "STATE_SHARE", 1.0)
    keeper = companions.StateKeeper(tmp_path / "s.safetensors")
    keeper.last -= 100
    made = trainer()
    keeper.keep(made, lambda: companions.TrainingState(step=1))
    assert (tmp_path / "s.safetensors").is_file()
    changed = (tmp_path / "s.safetensors").stat().st_mtime_ns
    keeper.keep(made, lambda: companions.TrainingState(step=2))
    assert (tmp_path / "s.safetensors").stat().st_mtime_ns == changed


def test_a_coarse_stage_sees_smaller_patches_and_the_last_those_of_the_plan(trainer):
    made = trainer(stages=[2, 1])
    shapes = [tuple(made.step(step, 4)[2].x.shape) for step in range(4)]
    assert shapes == [(4, 1, 16, 16)] * 2 + [(2, 1, 32, 32)] * 2


def test_a_bad_step_leaves_the_statistics_of_the_normalisation_alone(trainer):
    odd = trainer()
    odd.step(0, 9)
    before = [buffer.clone() for buffer in odd.network.buffers()]
    real = odd.loss
    odd.loss = lambda logits, wanted: real(logits, wanted) * math.nan
    assert math.isnan(odd.step(1, 9)[0])
    assert before
    assert all(torch.equal(one, two) for one, two in zip(before, odd.network.buffers(), strict=True))
    odd.loss = real
    assert math.isfinite(odd.step(1, 9)[0])
    assert not all(torch.equal(one, two) for one, two in zip(before, odd.network.buffers(), strict=True))


def test_skipped_steps_are_counted_in_the_history_and_told(trainer, tmp_path, caplog):
    odd = trainer()
    real, calls = odd.loss, []

    def now_and_then_nan(logits, wanted):
        calls.append(1)
        return real(logits, wanted) * (math.nan if len(calls) in (3, 5) else 1)

    odd.loss = now_and_then_nan
    with caplog.at_level("WARNING"):
        history = train_fold(odd, 6, tmp_path / "s.safetensors")[1]
    assert [row.get("skipped", 0) for row in history.rows] == [0, 0, 1, 1, 2, 2]
    assert "2 steps were skipped" in caplog.text


def test_a_loss_that_is_often_nan_stops_too(trainer, tmp_path, monkeypatch):
    odd = trainer()
    real, calls = odd.loss, []

    def every_second_nan(logits, wanted):
        calls.append(1)
        return real(logits, wanted) * (math.nan if len(calls) % 2 else 1)

    odd.loss = every_second_nan
    monkeypatch.setattr(skipping, "NAN_LIMIT", 4)
    with pytest.raises(TrainingError, match="NaN for 5 of 9 steps"):
        train_fold(odd, 30, tmp_path / "s.safetensors")


def starved(made, batches):
    """Lets steps of larger batches than these run out of memory."""
    real = made._wrapped

    def forward(x):
        if len(x) > batches:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return real(x)

    made._wrapped = forward
    return made


def test_out_of_memory_halves_the_batch_once_and_says_so(trainer, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        network, history = train_fold(starved(trainer(batch=4), 2), 5, tmp_path / "s.safetensors")
    assert "batches of 2 from here on" in caplog.text
    assert [row["batch"] for row in history.rows] == [2] * 5
    assert torch.isfinite(weights(network)).all()
    with pytest.raises(TrainingError, match=r"batches of 4 x 32 x 32 need more memory.*training\.batch=2"):
        train_fold(starved(trainer(batch=8), 2), 5, tmp_path / "t.safetensors")


def test_a_resumed_training_keeps_the_halved_batch(trainer, tmp_path):
    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    path = tmp_path / "s.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_fold(starved(trainer(batch=4), 2), 6, path, stop)
    history = train_fold(trainer(batch=4), 6, path)[1]
    assert [row["batch"] for row in history.rows] == [2] * 6


def test_other_errors_of_a_step_pass_through(trainer, tmp_path):
    odd = trainer()
    odd.loss = lambda logits, wanted: logits.reshape(7, 7, 7)
    with pytest.raises(RuntimeError, match="shape"):
        train_fold(odd, 3, tmp_path / "s.safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["loss", "average", "look"])
def test_a_signal_anywhere_in_a_step_loses_nothing(trainer, tmp_path, monkeypatch, number, where):
    """The signal comes while the weights have moved but their average or the step count have not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = train_fold(trainer(), 8, tmp_path / "whole.safetensors")[0]
    made, calls = trainer(), []

    def hit(real):
        def called(*values):
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), number)
            return real(*values)

        return called

    if where == "loss":
        made.loss = hit(made.loss)
    elif where == "average":
        made.average.update = hit(made.average.update)
    else:
        monkeypatch.setattr(loop, "learning_rate", hit(loop.learning_rate))
    path = tmp_path / "s.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_fold(made, 8, path)
    monkeypatch.undo()
    signal.signal(signal.SIGINT, before)
    assert torch.equal(weights(train_fold(trainer(), 8, path)[0]), weights(whole))


def test_a_folder_that_vanishes_is_told_and_not_made_again(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(companions, "STATE_EVERY_S", 0.0)
    monkeypatch.setattr(companions, "STATE_SHARE", math.inf)
    path = tmp_path / "run" / "state" / "s.safetensors"

    def vanish(progress):
        if progress.step == 3:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(RunError, match="is gone"):
        train_fold(trainer(), 8, path, vanish)
    assert not (tmp_path / "run").exists()


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
