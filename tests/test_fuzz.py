"""Some hundreds of damaged inputs for everything that takes files in; `bench/fuzz.py` runs 10,000 each."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
INPUTS = 40
MANY = 250


def load():
    spec = importlib.util.spec_from_file_location("hilum_fuzz", BENCH / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["hilum_fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = load()


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_every_outcome_is_a_right_result_or_a_hilum_error(name, tmp_path):
    fuzzer = fuzz.Fuzzer(name, tmp_path / name, seed=1)
    for number in range(INPUTS):
        outcome, told = fuzzer.one(number)
        assert outcome not in fuzz.FAILURES, f"input {number}: {told}"


@pytest.mark.parametrize("name", ["png", "tiff", "nifti", "run-lengths", "plan", "dicom-zip"])
def test_hundreds_of_the_cheap_ones(name, tmp_path):
    fuzzer = fuzz.Fuzzer(name, tmp_path / name, seed=2)
    before = fuzz.peak_mib()
    outcomes = [fuzzer.one(number) for number in range(MANY)]
    assert not [told for outcome, told in outcomes if outcome in fuzz.FAILURES]
    assert {"refused"} <= {outcome for outcome, _ in outcomes}
    assert fuzz.peak_mib() - before < 512


def test_the_fuzzer_sees_what_it_is_made_for(tmp_path, monkeypatch):
    """A reader that raises, and one that fills up what is missing, are failures."""
    fuzzer = fuzz.Fuzzer("npy", tmp_path / "npy")

    def broken(path):
        raise KeyError("header")

    def filled_up(path):
        content = path.read_bytes()
        return np.frombuffer(content.ljust(5000, b"\0"), np.uint8)

    for attempt, kind in ((broken, "error"), (filled_up, "wrong")):
        monkeypatch.setattr(fuzzer, "target", fuzz.Target(fuzzer.target.make, attempt))
        outcomes = {fuzzer.one(number)[0] for number in range(40)}
        assert kind in outcomes


def test_inputs_are_fixed_by_their_number():
    seed = bytes(range(200))
    first = [fuzz.mutant(seed, np.random.default_rng([3, number])) for number in range(50)]
    again = [fuzz.mutant(seed, np.random.default_rng([3, number])) for number in range(50)]
    assert first == again
    assert len({how for _, how in first}) >= 6
