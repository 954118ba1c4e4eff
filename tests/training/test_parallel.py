import os
import subprocess
import sys
from datetime import timedelta

import pytest
import torch

from hilum.planning.device import Device
from hilum.planning.plan import Plan
from hilum.training import parallel
from hilum.training.parallel import PATIENCE, is_first, memory_each, parallel_fabric, part_of_batch, processes
from hilum.training.run import open_run
from hilum.training.state import load_tensors


def test_alone_this_process_is_the_first_of_one(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert processes() == 1
    assert is_first()


def test_each_process_draws_its_share(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert processes() == 4
    assert not is_first()
    plan = Plan()
    plan.training.batch = 10
    assert part_of_batch(plan, 4) == 2


def test_a_card_is_its_own_and_a_machine_is_shared(monkeypatch):
    card, machine = Device("cuda", "card", 4, 80, True), Device("cpu", "processor", 4, 80, True)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert [memory_each(card), memory_each(machine)] == [80, 80]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert [memory_each(card), memory_each(machine)] == [80, 40]


def test_the_others_wait_for_days_while_the_first_works_alone(monkeypatch):
    """Half an hour, which is PyTorch's, is less than a second classifier takes."""
    made = {}

    class Caught:
        def __init__(self, **settings):
            made.update(settings)

        def launch(self):
            made["launched"] = True

    monkeypatch.setattr(parallel, "Fabric", Caught)
    parallel_fabric(Plan(), "32-true")
    assert made["launched"]
    assert made["strategy"]._timeout == PATIENCE > timedelta(days=1)


# Whole images without augmentation, and a network without normalisation or dropout: then two halves of a
# batch hold what one batch holds, and the averaged gradients have to be the same.
STEPS = """
import sys
from pathlib import Path
import torch
from hilum.planning.plan import Plan
from hilum.training.loop import Trainer, make_fabric
from hilum.training.parallel import is_first
from hilum.training.run import make_network
from hilum.training.samples import labelled_sample
from hilum.training.state import save_tensors

plan = Plan(task="classify")
plan.data.outputs, plan.data.channels, plan.data.size = ["a"], 1, [16, 16]
plan.model.name = "xray-cnn-2020"
plan.model.settings = {"size": 16, "widths": [4, 4], "dense": 8, "dropout": 0.0}
settings = plan.training
settings.patch, settings.whole, settings.batch, settings.threads = [16, 16], True, 4, 1
settings.loss, settings.rare_share = "entropy", 0.0
images = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
labels = [torch.tensor([float(n % 2)]) for n in range(8)]
samples = [labelled_sample(str(n), images[n], labels[n], torch.ones(1)) for n in range(8)]
trainer = Trainer(make_network(plan), plan, samples, 0, make_fabric(plan, parallel=True), torch.ones(2, 1))
for step in range(4):
    trainer.step(step, 4)
if is_first():
    save_tensors(Path(sys.argv[1]), dict(trainer.network.state_dict()), {})
"""


def run(words, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **more}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=550
    )
    assert done.returncode == 0, done.stderr[-3000:]


def torchrun(script, *words):
    run(["-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone", script, *words])


@pytest.mark.slow
def test_two_processes_take_the_steps_that_one_takes(tmp_path):
    script = tmp_path / "steps.py"
    script.write_text(STEPS)
    run([script, tmp_path / "one.safetensors"])
    torchrun(script, tmp_path / "two.safetensors")
    one, two = (load_tensors(tmp_path / f"{name}.safetensors")[0] for name in ("one", "two"))
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name


@pytest.mark.slow
def test_two_processes_make_a_whole_run(phantom_study, quick, tmp_path):
    script = tmp_path / "start.py"
    script.write_text("import sys; from hilum.cli import main; sys.argv[0] = 'hilum'; main()")
    words = ["--steps", 12, "--folds", 2, "--fold", 0, "--device", "cpu"]
    words += [word for setting in (*quick, "training.batch=6") for word in ("--set", setting)]
    torchrun(script, "train", phantom_study, "--out", tmp_path / "two", *words)
    made = open_run(tmp_path / "two")
    assert made.trained_folds() == [0]
    assert float(made.history(0)[-1]["step"]) == 12
    assert made.summary()["targets"]["Parenchyma"]["dice"]["cases"] > 0
    assert (tmp_path / "two" / "report.html").is_file()
