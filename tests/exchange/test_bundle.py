import json
import shutil
import warnings
import zipfile

import pytest

import hilum
from hilum.errors import RunError
from hilum.exchange import bundle
from hilum.image.readers import read_image
from hilum.planning.document import read_plan, write_plan


@pytest.fixture(scope="module")
def packed(phantom_run, tmp_path_factory):
    return hilum.export(phantom_run.folder, "bundle", tmp_path_factory.mktemp("bundle") / "run.zip").path


def repacked(packed, path, **changed):
    """A copy of a bundle with files added or replaced."""
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name not in changed:
                target.writestr(name, source.read(name))
        for name, content in changed.items():
            target.writestr(name, content)
    return path


def test_predict_takes_a_bundle_like_its_run(packed, phantom_run, phantom_study, tmp_path):
    images = phantom_study / "pred"
    hilum.predict(packed, images, tmp_path / "a", overlays=False, device="cpu")
    hilum.predict(phantom_run.folder, images, tmp_path / "b", overlays=False, device="cpu")
    masks = sorted((tmp_path / "b" / "masks").rglob("*.png"))
    assert masks
    for path in masks:
        other = tmp_path / "a" / path.relative_to(tmp_path / "b")
        assert (read_image(path).array == read_image(other).array).all()
    tables = [(tmp_path / out / "measurements.csv").read_text() for out in "ab"]
    assert tables[0] == tables[1]


def test_a_bundle_holds_a_card_and_names_no_case(packed, phantom_run):
    with zipfile.ZipFile(packed) as archive:
        assert "MODEL.md" in archive.namelist()
        texts = [archive.read(name) for name in archive.namelist() if not name.endswith(".safetensors")]
    for case in phantom_run.study.cases:
        assert not any(case.name.encode() in text for text in texts)
    assert not any(str(phantom_run.study.root).encode() in text for text in texts)


def test_the_plan_of_a_bundle_names_no_group_and_no_file(phantom_run, tmp_path):
    shutil.copytree(phantom_run.folder, tmp_path / "run")
    plan = read_plan(tmp_path / "run" / "plan.yaml")
    plan.recipe, plan.data.group_by = "/home/person1/plan.yaml", "(person[0-9]+)"
    plan.reasons["data.folds"] = "2 groups lie on both sides of them (person1, person2)"
    plan.reasons["training.batch"] = "from /home/person1/plan.yaml"
    write_plan(plan, tmp_path / "run" / "plan.yaml")
    path = hilum.export(tmp_path / "run", "bundle", tmp_path / "run.zip").path
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if not name.endswith("tensors")}
    assert not [name for name, text in texts.items() if b"person1" in text or b"person[" in text]
    kept = bundle.opened(path).plan
    assert kept.reasons["data.folds"] == "2 folds by group"
    assert {**kept.model_dump(), "recipe": "", "data": {}} == {**plan.model_dump(), "recipe": "", "data": {}}
    assert {**kept.data.model_dump(), "group_by": plan.data.group_by} == plan.data.model_dump()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/tmp/evil.json",
        "fold-0/../../evil.safetensors",
        "C:/evil.json",
        "evil.pkl",
        "a/plan.yaml",
    ],
)
def test_a_path_that_leaves_the_folder_or_is_unknown_stops_before_anything_is_written(packed, tmp_path, name):
    changed = repacked(packed, tmp_path / "evil.zip", **{name: b"{}"})
    (tmp_path / "into").mkdir()
    with pytest.raises(RunError, match="which no bundle has"):
        bundle.unpack(changed, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []
    assert not (tmp_path / "evil.json").exists()


def test_the_size_is_limited_by_the_bytes_that_come_out(packed, tmp_path, monkeypatch):
    large = repacked(packed, tmp_path / "large.zip", **{"MODEL.md": b"0" * 3_000_000})
    monkeypatch.setattr(bundle, "LARGEST_TEXT_BYTES", 2_000_000)
    with pytest.raises(RunError, match="larger than"):
        bundle.unpack(large, tmp_path / "a")
    monkeypatch.setattr(bundle, "LARGEST_BYTES", 1_000_000)
    with pytest.raises(RunError, match="unpacks to more than"):
        bundle.unpack(large, tmp_path / "b")


def test_what_is_no_bundle_says_how_to_make_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(RunError, match="--format bundle"):
        bundle.opened(tmp_path / "other.zip")
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(RunError, match="not a whole bundle"):
        bundle.opened(tmp_path / "no.zip")


def test_a_file_twice_and_another_version_are_refused(packed, tmp_path):
    twice = repacked(packed, tmp_path / "twice.zip")
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("plan.yaml", "task: segment")
    with pytest.raises(RunError):
        bundle.opened(twice)
    new = repacked(packed, tmp_path / "new.zip", **{bundle.MARK: json.dumps({"version": 99})})
    with pytest.raises(RunError, match="another version"):
        bundle.opened(new)


def test_damaged_bytes_within_are_a_run_error(packed, tmp_path):
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(RunError):
        bundle.unpack(tmp_path / "damaged.zip", tmp_path / "into")


def test_a_name_that_no_text_decodes_is_a_run_error(packed, tmp_path):
    damaged = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        place = archive.infolist()[-1].header_offset
    damaged[place + 6 : place + 8] = (0x800).to_bytes(2, "little")
    damaged[place + 30] = 0xAB
    (tmp_path / "b.zip").write_bytes(damaged)
    with pytest.raises(RunError, match="not a whole bundle"):
        bundle.unpack(tmp_path / "b.zip", tmp_path / "out")
