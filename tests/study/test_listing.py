import os
import shutil

import pytest

from hilum.errors import StudyError
from hilum.study.listing import list_folder, list_with_zarrs


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_hidden_and_system_files_are_not_listed(tmp_path):
    for name in ("a.png", ".DS_Store", "Thumbs.db", "._a.png", "__MACOSX/b.png", ".git/c.png"):
        touch(tmp_path / name)
    assert [str(path) for path in list_folder(tmp_path).files] == ["a.png"]


def test_symlink_loop_ends(tmp_path):
    touch(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing.png")
    assert [str(path) for path in list_folder(tmp_path).files] == ["images/a.png"]


def test_order_is_natural_and_suffix_case_does_not_matter(tmp_path):
    for name in ("10.PNG", "2.png", "1.JPeG"):
        touch(tmp_path / name)
    assert [path.name for path in list_folder(tmp_path).images] == ["1.JPeG", "2.png", "10.PNG"]


def test_only_sub_folder_is_entered(tmp_path):
    touch(tmp_path / "outer" / "inner" / "images" / "a.png")
    touch(tmp_path / "outer" / "inner" / "masks" / "a.png")
    assert list_folder(tmp_path).root == tmp_path / "outer" / "inner"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_empty_and_missing_folders_are_named(tmp_path, make):
    folder = tmp_path / "nothing"
    make(folder)
    with pytest.raises(StudyError, match="nothing"):
        list_folder(folder)


@pytest.mark.skipif(os.name == "nt", reason="names with newlines")
def test_newlines_and_unicode_in_names(tmp_path):
    touch(tmp_path / "Übung\n1.png")
    assert len(list_folder(tmp_path).images) == 1


RESULTS = {
    "run": ("plan.yaml", "splits.json", "manifest.json", "predictions/a.png"),
    "found": ("measurements.csv", "masks/target/a.png", "overlays/a.png"),
    "why": ("explain.html", "uncertainty.csv", "a/map.png"),
}


def test_results_of_hilum_are_no_images(tmp_path):
    touch(tmp_path / "images" / "a.png")
    for folder, names in RESULTS.items():
        for name in names:
            touch(tmp_path / folder / name)
    listing = list_folder(tmp_path)
    assert [str(path) for path in listing.files] == ["images/a.png"]
    assert [str(path) for path in listing.results] == ["found", "run", "why"]


@pytest.mark.parametrize("folder", RESULTS)
def test_results_that_are_asked_for_are_listed(tmp_path, folder):
    for name in RESULTS[folder]:
        touch(tmp_path / folder / name)
    assert len(list_folder(tmp_path / folder).files) == len(RESULTS[folder])
    with pytest.raises(StudyError, match=f"nothing but results of Hilum .{folder}.;"):
        list_folder(tmp_path)


def test_a_table_beside_images_and_masks_makes_no_results(tmp_path):
    for name in ("site/images/a.png", "site/masks/a.png", "site/measurements.csv", "b.png"):
        touch(tmp_path / name)
    assert len(list_folder(tmp_path).images) == 3


def test_zarr_images_among_results_of_hilum_are_left_out(tmp_path):
    for name in ("mine/a.ome.zarr", "found/masks/target/b.ome.zarr"):
        touch(tmp_path / name / "zarr.json")
    touch(tmp_path / "found" / "measurements.csv")
    listing, zarrs = list_with_zarrs(tmp_path)
    assert (listing.files, zarrs) == ((), [tmp_path / "mine" / "a.ome.zarr"])
    shutil.rmtree(tmp_path / "mine")
    with pytest.raises(StudyError, match=r"nothing but results of Hilum \(found\)"):
        list_with_zarrs(tmp_path)
