import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hilum.errors import RunError
from hilum.planning.plan import TrainingPlan
from hilum.training.optimisation import WeightAverage, make_optimiser
from hilum.training.state import (
    History,
    TrainingState,
    load_state,
    load_tensors,
    save_state,
    save_tensors,
)


def made(width=3, name="adamw"):
    network = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))
    optimiser = make_optimiser(network.parameters(), TrainingPlan(optimiser=name))
    return network, WeightAverage(network, 0.9), optimiser


def stepped(network, average, optimiser, steps=3):
    for step in range(steps):
        optimiser.zero_grad()
        network(torch.randn(2, 1, 8, 8)).square().mean().backward()
        optimiser.step()
        average.update(network, step)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_state_comes_back_to_the_bit(tmp_path, name):
    network, average, optimiser = made(name=name)
    stepped(network, average, optimiser)
    history = History().with_row({"step": 3, "loss": 0.1 + 0.2})
    state = TrainingState(step=3, seconds=1.25, history=history)
    save_state(tmp_path / "state.safetensors", network, average.network, optimiser, state)
    other, other_average, other_optimiser = made(name=name)
    back = load_state(tmp_path / "state.safetensors", other, other_average.network, other_optimiser)
    assert (back.step, back.seconds, [dict(row) for row in back.history.rows]) == (
        3,
        1.25,
        list(history.rows),
    )
    for one, two in ((network, other), (average.network, other_average.network)):
        assert all(
            torch.equal(a, b)
            for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
        )
    mine, theirs = optimiser.state_dict()["state"], other_optimiser.state_dict()["state"]
    assert mine.keys() == theirs.keys()
    assert all(
        torch.equal(torch.as_tensor(mine[i][s]), torch.as_tensor(theirs[i][s])) for i in mine for s in mine[i]
    )


def test_no_state_is_a_fresh_start(tmp_path):
    network, average, optimiser = made()
    assert load_state(tmp_path / "none.safetensors", network, average.network, optimiser) == TrainingState()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other", "notes"])
def test_a_damaged_or_foreign_state_is_refused_with_what_to_do(tmp_path, damage):
    path = tmp_path / "state.safetensors"
    network, average, optimiser = made()
    stepped(network, average, optimiser, 1)
    save_state(path, network, average.network, optimiser, TrainingState(step=1))
    whole = path.read_bytes()
    if damage == "notes":
        save_tensors(path, load_tensors(path)[0], {"state": "[1, 2"})
    else:
        path.write_bytes(
            {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b"", "other": whole}[damage]
        )
    network, average, optimiser = made(width=5 if damage == "other" else 3)
    with pytest.raises(RunError, match=str(path)):
        load_state(path, network, average.network, optimiser)


def test_tensors_come_back_whatever_their_layout(tmp_path):
    tensors = {
        "a": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "b": torch.ones(3, 4).t(),
    }
    tensors["c"] = tensors["a"][:, :1]
    save_tensors(tmp_path / "t.safetensors", tensors, {"note": "µ"})
    back, notes = load_tensors(tmp_path / "t.safetensors")
    assert notes == {"note": "µ"}
    assert all(torch.equal(tensors[name], back[name]) for name in tensors)


def test_a_missing_file_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="cannot be read as weights"):
        load_tensors(tmp_path / "none.safetensors")


def test_a_flipped_bit_in_any_part_of_the_weights_is_seen(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "none": torch.zeros(0)}
    save_tensors(path, tensors, {"plan": "{}"})
    whole = path.read_bytes()
    found, notes = load_tensors(path)
    assert notes == {"plan": "{}"}
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(RunError, match="damaged"):
            load_tensors(path)


def test_weights_of_other_programs_have_no_checksum_and_are_taken(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "theirs.safetensors")
    assert load_tensors(tmp_path / "theirs.safetensors")[0]["weight"].tolist() == [1, 1]


def test_moments_of_a_parameter_that_is_not_there_are_refused(tmp_path):
    network, average = (nn.Conv2d(1, 2, 3) for _ in range(2))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 1, 4, 4)).sum().backward()
    optimiser.step()
    path = tmp_path / "state.safetensors"
    save_state(path, network, average, optimiser, TrainingState(step=1))
    tensors, notes = load_tensors(path)
    tensors["optimiser.7.exp_avg"] = tensors.pop("optimiser.1.exp_avg")
    save_tensors(path, tensors, notes)
    with pytest.raises(RunError, match="parameter 7"):
        load_state(path, network, average, optimiser)


def test_the_same_content_is_the_same_file(tmp_path):
    tensors, notes = (
        {"b": torch.ones(2), "a": torch.zeros(3)},
        {name: name for name in ["plan", "net", "fold"]},
    )
    for number in range(8):
        save_tensors(tmp_path / f"{number}.safetensors", tensors, notes)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert load_tensors(tmp_path / "0.safetensors")[1] == notes


def test_notes_of_before_there_were_checksums_are_read(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "old.safetensors", {"state": "{}"})
    assert load_tensors(tmp_path / "old.safetensors")[1] == {"state": "{}"}


def test_moments_of_another_shape_are_refused(tmp_path):
    """As a state has them that was written before the optimiser saw weights in memory order."""
    path = tmp_path / "state.safetensors"
    network, average, optimiser = made()
    stepped(network, average, optimiser, 1)
    save_state(path, network, average.network, optimiser, TrainingState(step=1))
    tensors, notes = load_tensors(path)
    tensors["optimiser.0.exp_avg"] = tensors["optimiser.0.exp_avg"].movedim(1, -1)
    save_tensors(path, tensors, notes)
    with pytest.raises(
        RunError, match=r"exp_avg of shape \(3, 3, 3, 1\) for weights \(3, 1, 3, 3\).*remove it"
    ):
        load_state(path, network, average.network, optimiser)
