"""The contract of every kind of phantom, and the errors of the door."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hilum.errors import HilumError
from hilum.phantoms.make import KINDS, make_phantom, phantom_kind

SMALL = {"histology": (96, 128), "xray": (96, 120), "ct": (40, 72, 72), "ultrasound": (84, 116)}


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)
    }


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_same_seed_same_bytes_other_seed_other_bytes(self, kind: str, tmp_path: Path) -> None:
        one = digest(make_phantom(kind, tmp_path / "one", 3, seed=5, size=SMALL[kind]))
        two = digest(make_phantom(kind, tmp_path / "two", 3, seed=5, size=SMALL[kind]))
        other = digest(make_phantom(kind, tmp_path / "other", 3, seed=6, size=SMALL[kind]))
        assert one == two
        assert set(one.values()) != set(other.values())

    def test_more_cases_leave_the_first_ones_as_they_are(self, kind: str, tmp_path: Path) -> None:
        few = digest(make_phantom(kind, tmp_path / "few", 3, size=SMALL[kind]))
        more = digest(make_phantom(kind, tmp_path / "more", 5, size=SMALL[kind]))
        trained = {name for name in few if name.startswith(("train", "subset0"))}
        assert trained
        assert all(more.get(name) == few[name] for name in trained if "subset" not in name)
        assert {few[name] for name in trained} <= set(more.values())

    def test_nothing_unfinished_is_left(self, kind: str, tmp_path: Path) -> None:
        out = make_phantom(kind, tmp_path / "study", 2, size=SMALL[kind])
        assert not [path for path in out.rglob("*") if path.name.startswith(".")]

    def test_smallest_size_is_drawn(self, kind: str, tmp_path: Path) -> None:
        assert digest(make_phantom(kind, tmp_path / "study", 2, size=phantom_kind(kind).smallest))

    def test_too_small_or_of_other_axes_is_an_error(self, kind: str, tmp_path: Path) -> None:
        smallest = phantom_kind(kind).smallest
        for size in (tuple(n - 1 for n in smallest), (*smallest, 64), (64,)):
            with pytest.raises(HilumError, match="at least"):
                make_phantom(kind, tmp_path / "study", 2, size=size)
        assert not (tmp_path / "study").exists()

    def test_no_cases_is_an_error(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(HilumError, match="too few"):
            make_phantom(kind, tmp_path / "study", 0)

    def test_unknown_option_is_an_error(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(HilumError, match="no option 'colour'"):
            make_phantom(kind, tmp_path / "study", 2, colour="green")


def test_unknown_kind_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(HilumError, match="did you mean 'histology'"):
        make_phantom("histologie", tmp_path / "study")


def test_full_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(HilumError, match="not empty"):
        make_phantom("histology", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("mine")
    with pytest.raises(HilumError, match="is a file"):
        make_phantom("histology", tmp_path / "study")


def test_negative_seed(tmp_path: Path) -> None:
    with pytest.raises(HilumError, match="seed -1"):
        make_phantom("histology", tmp_path / "study", seed=-1)
