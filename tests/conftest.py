"""Fixtures that all rooms share."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data():
    """Folder of real images: HILUM_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("HILUM_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        reason = f"no real images at {folder}; set HILUM_DATA to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def disc():
    """Makes a mask (Y, X) bool of one disc: disc(shape, centre, radius), all in pixels."""

    def make(shape=(64, 64), centre=(32, 32), radius=16):
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2

    return make


@pytest.fixture(scope="session")
def phantom_study(tmp_path_factory):
    """Folder of a small phantom histology study: 6 annotated images of 3 animals, 2 more to predict."""
    from hilum.phantoms.make import make_phantom

    return make_phantom("histology", tmp_path_factory.mktemp("phantom") / "study", cases=6, size=(96, 128))


@pytest.fixture(scope="session")
def quick():
    """Settings that make a training take a second: a narrow network on one thread."""
    return ("training.threads=1", "model.settings.width=4", "scoring.bootstrap=50")


@pytest.fixture(scope="session")
def phantom_run(phantom_study, quick, tmp_path_factory):
    """A trained run on the phantom study, two folds of 25 steps; tests only read it."""
    import hilum

    out = tmp_path_factory.mktemp("phantom-run") / "run"
    return hilum.train(phantom_study, out, steps=25, folds=2, settings=quick, device="cpu")


@dataclass
class Done:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command line in this process: command("inspect", folder)."""
    from hilum import cli

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hilum", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        caught = capsys.readouterr()
        return Done(code, caught.out, caught.err)

    return run
