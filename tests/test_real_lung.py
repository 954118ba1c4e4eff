"""A short training on real lung sections: floors that a sound change never falls below."""

import os

import pytest

import hilum


@pytest.mark.real
@pytest.mark.slow
def test_a_minute_on_real_lung_sections_reaches_the_floors(data, tmp_path):
    """About a minute on two cores, all four folds by animal; the floors lie well below what is usual."""
    lung = data / "lung_flu"
    threads = str(len(os.sched_getaffinity(0)))
    run = hilum.train(
        lung,
        tmp_path / "run",
        splits=lung / "splits.json",
        steps=STEPS,
        settings=(f"training.threads={threads}", "scoring.bootstrap=100"),
        device="cpu",
    )
    targets = run.summary()["targets"]
    assert targets["Parenchyma"]["dice"]["cases"] == 14
    assert targets["Parenchyma"]["dice"]["mean"] >= 0.90
    assert targets["SevereInflammation"]["dice"]["pooled"] >= 0.60


STEPS = 120
