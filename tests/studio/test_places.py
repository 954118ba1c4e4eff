"""Masks are written where `hilum inspect` reads them, whatever the layout."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.writers import write_image, write_mask
from hilum.studio import easel
from hilum.studio.easel import StaleError
from hilum.studio.journal import Stroke
from hilum.studio.places import LooseImagesError, gather_images, place_of, plain_target
from hilum.studio.spans import spans_of
from hilum.studio.view import look
from hilum.study.masks import read_masks
from hilum.study.open import open_study
from hilum.study.splits import make_folds

SIZE = (40, 56)
LAYOUTS = {
    "folders": ({"images/a.png": 0, "images/b.png": 1, "masks/a.png": "mask"}, "target", "masks/b.png"),
    "targets": (
        {"images/a.png": 0, "images/b.png": 1, "masks/Nerve/a.png": "mask"},
        "Nerve",
        "masks/Nerve/b.png",
    ),
    "splits": (
        {"train/images/a.png": 0, "train/images/b.png": 1, "train/masks/a.png": "mask"},
        "target",
        "train/masks/b.png",
    ),
    "suffixes": ({"a.png": 0, "b.png": 1, "a_mask.png": "mask"}, "target", "b_mask.png"),
    "image words": (
        {"a_image.png": 0, "b_image.png": 1, "c_image.png": 2, "a_mask.png": "mask", "c_mask.png": "mask"},
        "target",
        "b_mask.png",
    ),
    "image words in folders": (
        {"images/a_img.png": 0, "images/b_img.png": 1, "labels/a_seg.png": "mask"},
        "target",
        "labels/b_seg.png",
    ),
    "siblings": (
        {
            "Original/a.png": 0,
            "Original/b.png": 1,
            "Original/c.png": 2,
            "Nerve/a.png": "mask",
            "Nerve/c.png": "mask",
        },
        "Nerve",
        "Nerve/b.png",
    ),
    "bare": ({"images/a.png": 0, "images/b.png": 1}, "Nerve", "masks/Nerve/b.png"),
    "nnunet": (
        {"imagesTr/a_0000.png": 0, "imagesTr/b_0000.png": 1, "labelsTr/a.png": "label"},
        "nerve",
        "labelsTr/b.png",
    ),
}


@pytest.fixture
def mask(disc):
    return disc(SIZE, (20, 20), 10)


def painted(desk, name, target, mask):
    """Paint a mask in one stroke and save it."""
    key = str(mask.sum())
    desk.easel.stroke(name, target, Stroke(spans_of(mask), key=key), desk.easel.open(name, target).version)
    return desk.easel.save(name, target)


def case_named(view, start):
    return next(case for case in view.cases if case.image.path.stem.startswith(start))


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path, write, mask, disc):
    """A study in which image a is annotated and b is not, its target, and where b's mask belongs."""
    files, target, wanted = LAYOUTS[request.param]
    folder = tmp_path / "study"
    label = {"mask": disc(SIZE, (12, 12), 6)}
    write(folder, {name: label.get(what, what) for name, what in files.items() if what != "label"})
    if request.param == "nnunet":
        (folder / "labelsTr").mkdir(parents=True)
        Pillow.fromarray(label["mask"].astype(np.uint8)).save(folder / "labelsTr/a.png")
        labels = {"channel_names": {"0": "R"}, "labels": {"background": 0, "nerve": 1}, "numTraining": 1}
        (folder / "dataset.json").write_text(json.dumps({**labels, "file_ending": ".png"}))
    return folder, target, wanted


def test_a_painted_mask_is_read_back_by_every_verb_in_every_layout(layout, desk_of, mask):
    folder, target, wanted = layout
    desk = desk_of(folder)
    if target not in desk.all_targets():
        desk.targets.append(target)
    name = case_named(desk.view, "b").name
    path = painted(desk, name, target, mask)
    assert path.relative_to(folder).as_posix() == wanted
    study = open_study(folder)
    found = case_named(study, "b")
    assert (read_masks(found, [target], SIZE)[0][0] == mask).all()
    assert target in study.targets


def test_painting_over_a_mask_keeps_its_first_version(layout, desk_of, disc):
    folder, target, _ = layout
    desk = desk_of(folder)
    case = case_named(desk.view, "a")
    if target not in case.masks:
        return
    before = case.masks[target].sources[0].path.read_bytes()
    path = painted(desk, case.name, target, disc(SIZE, (12, 40), 6))
    after = case_named(look(folder), "a")
    wanted = disc(SIZE, (12, 12), 6) | disc(SIZE, (12, 40), 6)
    assert (read_masks(after, [target], SIZE)[0][0] == wanted).all()
    kept = desk.view.root / ".studio/originals" / path.relative_to(desk.view.root)
    assert kept.read_bytes() == before


def test_a_jpeg_mask_becomes_lossless(tmp_path, write, desk_of, disc, mask):
    folder = write(tmp_path / "s", {f"images/{n}.png": k for k, n in enumerate("abc")})
    (folder / "masks").mkdir()
    for name in "abc":
        Pillow.fromarray(disc(SIZE, (12, 12), 6).astype(np.uint8) * 255).save(
            folder / f"masks/{name}.jpg", quality=80
        )
    desk = desk_of(folder)
    painted(desk, "b", "target", disc(SIZE, (30, 40), 5))
    painted(desk, "b", "target", disc(SIZE, (30, 55), 3))  # again, now on the file that replaced it
    assert not (folder / "masks/b.jpg").exists()
    assert (folder / ".studio/originals/masks/b.jpg").is_file()
    truth = read_masks(look(folder).by_name["b"], ["target"], SIZE)[0][0]
    assert truth[30, 40]
    assert truth[30, 55]
    assert truth[12, 12]
    assert set(np.unique(np.asarray(Pillow.open(folder / "masks/b.png")))) == {0, 255}


def test_a_jpeg_mask_that_a_training_reads_is_replaced_when_it_has_ended(
    tmp_path, write, desk_of, disc, monkeypatch
):
    folder = write(tmp_path / "s", {f"images/{n}.png": k for k, n in enumerate("ab")})
    (folder / "masks").mkdir()
    for name in "ab":
        Pillow.fromarray(disc(SIZE, (12, 12), 6).astype(np.uint8) * 255).save(folder / f"masks/{name}.jpg")
    desk = desk_of(folder)
    monkeypatch.setattr("hilum.studio.jobs.running", lambda runs: ["train"])
    assert painted(desk, "b", "target", disc(SIZE, (30, 40), 5)) is None
    assert (folder / "masks/b.jpg").is_file()
    assert desk.easel.waiting() == [("b", "target")]
    again = desk_of(folder)  # the studio was killed meanwhile: the stroke is in the journal
    assert again.easel.open("b", "target").mask[30, 40]
    monkeypatch.setattr("hilum.studio.jobs.running", lambda runs: [])
    assert again.easel.save_all() == [folder / "masks/b.png"]
    assert not (folder / "masks/b.jpg").exists()
    assert again.easel.waiting() == []


@pytest.fixture
def shared(tmp_path, write, desk_of, disc):
    """A study whose two targets lie in one file as 1 and 2, opened, and the names of both."""
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1})
    (folder / "masks").mkdir()
    array = disc(SIZE, (12, 12), 6).astype(np.uint8) + 2 * disc(SIZE, (30, 40), 6).astype(np.uint8)
    for name in "ab":
        Pillow.fromarray(array).save(folder / f"masks/{name}.png")
    desk = desk_of(folder)
    return desk, *desk.view.study.targets


def test_targets_in_one_file_keep_their_values(shared, disc):
    desk, one, two = shared
    painted(desk, "a", one, disc(SIZE, (30, 40), 3))
    found = np.asarray(Pillow.open(desk.folder / "masks/a.png"))
    assert found[30, 40] == 1
    assert found[30, 45] == 2
    assert not desk.easel.open("a", two).mask[30, 40]


def test_a_file_keeps_its_own_value_where_others_write_the_target_with_another(
    tmp_path, write, desk_of, disc
):
    """Some masks are 0 and 255, others a palette of two."""
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1})
    (folder / "masks").mkdir()
    drawn = disc(SIZE, (12, 12), 6).astype(np.uint8)
    Pillow.fromarray(drawn * 255).save(folder / "masks/a.png")
    palette = Pillow.fromarray(drawn, mode="P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(folder / "masks/b.png")
    desk = desk_of(folder)
    for name in "ab":
        painted(desk, name, "target", disc(SIZE, (30, 40), 5))
    for name, value in (("a", 255), ("b", 1)):
        found = np.asarray(Pillow.open(folder / f"masks/{name}.png"))
        assert set(np.unique(found)) == {0, value}
        assert found[30, 40] == value


def test_masks_of_0_and_1_stay_so(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1})
    (folder / "masks").mkdir()
    Pillow.fromarray(mask.astype(np.uint8)).save(folder / "masks/a.png")
    painted(desk_of(folder), "b", "target", mask)
    assert np.asarray(Pillow.open(folder / "masks/b.png")).max() == 1
    assert open_study(folder).targets == ("target",)


def test_a_table_gets_its_row(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"a.png": 0, "b.png": 1, "m/a.png": mask})
    (folder / "study.csv").write_text("image,Nerve\na.png,m/a.png\nb.png,\n")
    painted(desk_of(folder), "b", "Nerve", mask)
    rows = (folder / "study.csv").read_text().splitlines()
    assert rows == ["image,Nerve", "a.png,m/a.png", "b.png,masks/Nerve/b.png"]
    assert (read_masks(open_study(folder).cases[1], ["Nerve"], SIZE)[0][0] == mask).all()


@pytest.mark.parametrize("cell", ["./scans/b.png", "scans//b.png", r"scans\b.png"])
def test_a_row_of_the_table_is_found_however_its_path_is_written(tmp_path, write, desk_of, mask, cell):
    folder = write(tmp_path / "s", {"scans/a.png": 0, "scans/b.png": 1, "m/a.png": mask})
    (folder / "study.csv").write_text(f"image,Nerve\nscans/a.png,m/a.png\n{cell},\n")
    painted(desk_of(folder), "b", "Nerve", mask)
    rows = (folder / "study.csv").read_text().splitlines()
    assert rows == ["image,Nerve", "scans/a.png,m/a.png", f"{cell},masks/Nerve/b.png"]


def test_a_further_target_leaves_the_first_one_with_its_images(tmp_path, write, desk_of, mask):
    files = {"images/a_image.png": 0, "images/b_image.png": 1, "masks/Nerve/a_mask.png": mask}
    desk = desk_of(write(tmp_path / "s", files))
    desk.targets.append("Vessel")
    case = case_named(desk.view, "a")
    assert painted(desk, case.name, "Vessel", mask) == desk.folder / "masks/Vessel/a_mask.png"
    assert set(case_named(open_study(desk.folder), "a").masks) == {"Nerve", "Vessel"}


def test_where_names_do_not_tell_another_mask_is_not_painted_over(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"a.png": 0, "b.png": 1, "m/x.png": mask})
    (folder / "study.csv").write_text("image,Nerve\na.png,m/x.png\nb.png,\n")
    desk = desk_of(folder)
    (folder / "study.csv").unlink()  # the page still shows what the table said
    before = (folder / "m/x.png").read_bytes()
    with pytest.raises(HilumError, match="cannot be told"):
        painted(desk, "b", "Nerve", mask)
    assert (folder / "m/x.png").read_bytes() == before


def test_loose_images_are_not_moved_over_others(tmp_path, write, desk_of):
    folder = write(tmp_path / "s", {"a.png": 0, "b.png": 1, "images/a.png": 2})
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    with pytest.raises(HilumError, match=r"images: a\.png would be replaced"):
        gather_images(desk_of(folder).view)
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


def test_a_header_is_moved_with_the_pixels_it_names(tmp_path, desk_of):
    folder = tmp_path / "s"
    write_image(folder / "s.mhd", Image(np.full((1, 4, 5, 6), 7, np.int16)))
    data = next(path for path in folder.iterdir() if path.name != "s.mhd")
    text = (folder / "s.mhd").read_text().replace(data.name, f"voxels{data.suffix}")
    (folder / "s.mhd").write_text(text)
    data.rename(folder / f"voxels{data.suffix}")
    desk = desk_of(folder)
    gather_images(desk.view)
    desk.refresh()
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["s.mhd", f"voxels{data.suffix}"]
    assert (desk.images.get(desk.view.cases[0].name).array == 7).all()


def test_loose_images_are_told_of_and_moved_when_wished(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"a.png": 0, "b.png": 1})
    desk = desk_of(folder)
    with pytest.raises(LooseImagesError, match="images"):
        place_of(desk.view, desk.view.cases[0], "Nerve")
    assert gather_images(desk.view) == 2
    desk.refresh()
    desk.targets.append("Nerve")
    painted(desk, desk.view.cases[0].name, "Nerve", mask)
    assert [case.image.path.name for case in open_study(folder).cases] == ["a.png"]


def test_a_mask_of_several_readers_is_not_painted_over(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"a.png": 0, "a_mask_1.png": mask, "a_mask_2.png": mask})
    desk = desk_of(folder)
    with pytest.raises(HilumError, match="2 files"):
        painted(desk, "a", "target", mask)
    assert not (folder / ".studio").exists()


def test_volumes_keep_their_grid(tmp_path, desk_of):
    import SimpleITK

    folder = tmp_path / "s"
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
    for k, name in enumerate("ab"):
        image = SimpleITK.GetImageFromArray(
            np.random.default_rng(k).normal(size=(5, 16, 18)).astype(np.float32)
        )
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-10.0, 5.0, 30.0))
        SimpleITK.WriteImage(image, str(folder / f"images/{name}.nii.gz"))
    ball = np.zeros((5, 16, 18), np.uint8)
    ball[2, 4:8, 4:8] = 1
    mask = SimpleITK.GetImageFromArray(ball)
    mask.CopyInformation(image)
    SimpleITK.WriteImage(mask, str(folder / "masks/a.nii.gz"))
    desk = desk_of(folder)
    plane = np.zeros((16, 18), bool)
    plane[5:9, 6:12] = True
    desk.easel.stroke("b", "target", Stroke(spans_of(plane), 0, 3, "k"), 0)
    path = desk.easel.save("b", "target")
    back = SimpleITK.ReadImage(str(path))
    assert np.allclose(back.GetSpacing(), (0.7, 0.8, 2.5))
    assert np.allclose(back.GetOrigin(), (-10.0, 5.0, 30.0))
    assert (SimpleITK.GetArrayFromImage(back)[3] > 0).tolist() == plane.tolist()


def test_one_of_several_targets_in_a_volume_of_other_axes_is_painted_in_its_place(tmp_path, desk_of):
    """The file is turned onto its image before it is painted into; the other target stays where it is."""
    import SimpleITK

    folder, grid = tmp_path / "s", (5, 16, 18)
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
    image = SimpleITK.GetImageFromArray(np.random.default_rng(0).normal(size=grid).astype(np.float32))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10.0, 5.0, 30.0))
    SimpleITK.WriteImage(image, str(folder / "images/a.nii.gz"))
    values = np.zeros(grid, np.uint8)
    values[1, 2:6, 3:9] = 1
    values[3, 9:14, 4:7] = 2
    mask = SimpleITK.GetImageFromArray(values)
    mask.CopyInformation(image)
    SimpleITK.WriteImage(SimpleITK.Flip(mask, (False, True, False)), str(folder / "masks/a.nii.gz"))
    study = open_study(folder)
    assert study.targets == ("index-1", "index-2")
    assert (read_masks(study.cases[0], study.targets, grid)[0][1] == (values == 2)).all()
    plane = np.zeros(grid[1:], bool)
    plane[11:15, 10:16] = True
    desk = desk_of(folder)
    desk.easel.stroke("a", "index-1", Stroke(spans_of(plane), 0, 2, "k"), 0)
    desk.easel.save("a", "index-1")
    wanted = values.copy()
    wanted[2][plane] = 1
    found = read_masks(look(folder).by_name["a"], study.targets, grid)[0]
    assert [(found[k] == (wanted == k + 1)).all() for k in range(2)] == [True, True]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "mask", "images", "x" * 61, "nerve_masks"])
def test_a_target_needs_a_name_that_can_be_a_folder(name):
    with pytest.raises(HilumError, match="target"):
        plain_target(name)


def test_a_mask_that_is_empty_counts_as_annotated(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1, "masks/a.png": mask})
    desk = desk_of(folder)
    desk.easel.begin("b", "target")
    case = look(folder).by_name["b"]
    assert "target" in case.masks
    assert not read_masks(case, ["target"], SIZE)[0].any()


def test_no_other_mask_is_written_by_chance(tmp_path, write, desk_of, mask):
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1, "masks/a.png": mask})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    painted(desk_of(folder), "b", "target", mask)
    assert all(path.read_bytes() == content for path, content in before.items())
    write_mask(tmp_path / "again.png", mask)


def test_an_image_to_predict_that_is_painted_is_learnt_from_and_scored(tmp_path, write, desk_of, mask):
    files = {
        f"train/{folder}/{k}_1.png": k if folder == "Original" else mask
        for folder in ("Original", "Nerve")
        for k in range(3)
    }
    folder = write(tmp_path / "s", {**files, "pred/Original/9_1.png": 7})
    desk = desk_of(folder)
    new = next(case for case in desk.view.cases if not case.masks)
    assert painted(desk, new.name, "Nerve", mask) == folder / "pred/Nerve/9_1.png"
    folds = make_folds(open_study(folder))
    assert folds.by == "group"
    assert sorted(name for fold in folds.folds for name in fold.test) == ["0_1", "1_1", "2_1", "9_1"]


def test_saving_a_target_leaves_those_that_share_its_file_open_as_they_were(shared, disc):
    desk, one, two = shared
    painted(desk, "a", two, disc(SIZE, (6, 40), 3))
    open_two = desk.easel.open("a", two)
    assert open_two.version == 1
    painted(desk, "a", one, disc(SIZE, (34, 10), 3))
    assert desk.easel.open("a", two) is open_two
    more = Stroke(spans_of(disc(SIZE, (20, 25), 2)), key="more")
    assert desk.easel.stroke("a", two, more, 1) == 2, "the page's next stroke is refused"


def test_a_target_that_loses_pixels_to_another_in_its_file_gets_a_new_version(shared, disc):
    desk, one, two = shared
    open_two = desk.easel.open("a", two)
    painted(desk, "a", one, disc(SIZE, (30, 40), 3))
    assert desk.easel.open("a", two) is open_two
    assert not open_two.mask[30, 40]
    with pytest.raises(StaleError):
        desk.easel.stroke("a", two, Stroke(spans_of(disc(SIZE, (30, 40), 2)), key="old"), 0)


def test_all_targets_of_one_file_are_saved_together(shared, disc):
    desk, one, two = shared
    both = Stroke(spans_of(disc(SIZE, (34, 10), 3)), key="2")
    desk.easel.stroke("a", one, Stroke(spans_of(disc(SIZE, (6, 40), 3)), key="1"), 0)
    desk.easel.open("a", two)
    assert len(desk.easel.save_all()) == 1, "its sharer is open and clean"
    desk.easel.stroke("a", two, both, 0)
    desk.easel.stroke("a", one, both, 1)
    desk.easel.save_all()
    assert desk.easel.waiting() == []
    found = np.asarray(Pillow.open(desk.view.root / "masks/a.png"))
    assert found[6, 40] == 1
    assert found[34, 10] == 1, "painted last"
    assert not desk.easel.open("a", two).mask[34, 10]


def test_a_mask_that_was_put_away_keeps_the_version_that_the_page_knows(shared, disc, monkeypatch):
    desk, one, two = shared
    painted(desk, "a", two, disc(SIZE, (6, 40), 3))
    monkeypatch.setattr(easel, "KEPT", 1)
    desk.easel.open("b", one)
    assert ("a", two) not in desk.easel.paintings
    more = Stroke(spans_of(disc(SIZE, (20, 25), 2)), key="more")
    assert desk.easel.stroke("a", two, more, 1) == 2
