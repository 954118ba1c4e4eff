import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import HilumError
from hilum.image.pyramid_writer import start_writer
from hilum.image.spacing import Spacing, parse_spacing
from hilum.measurement.measure import measure_files


def disc(shape=(60, 80), centre=(30, 30), radius=15):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(array).save(path, **options)
    return path


def test_plain_masks(tmp_path):
    mask = disc()
    png = save(tmp_path / "a.png", mask.astype(np.uint8) * 255)
    save(tmp_path / "b.png", np.zeros((60, 80), np.uint8))
    rows, regions = measure_files([png], Spacing((0.5, 0.5), "mm"))
    assert (rows[0]["case"], rows[0]["target"]) == ("a", "mask")
    assert rows[0]["area"] == pytest.approx(mask.sum() / 4)
    assert len(regions) == 1
    both, _ = measure_files([tmp_path])
    assert [row["pixels"] for row in both] == [mask.sum(), 0]


def test_jpeg_ringing_is_no_region(tmp_path):
    path = save(tmp_path / "a.jpg", disc().astype(np.uint8) * 255, quality=60)
    rows, regions = measure_files([path])
    assert rows[0]["pixels"] == pytest.approx(disc().sum(), rel=0.02)
    assert len(regions) == 1


def test_indices_are_targets_also_where_one_is_absent(tmp_path):
    second = disc(centre=(30, 60), radius=8)
    save(tmp_path / "both.png", disc().astype(np.uint8) + 2 * (second & ~disc()).astype(np.uint8))
    save(tmp_path / "one.png", disc().astype(np.uint8))
    rows, _ = measure_files([tmp_path])
    found = {(row["case"], row["target"]): row["pixels"] for row in rows}
    assert found[("both", "index-1")] == found[("one", "index-1")] == disc().sum()
    assert found[("both", "index-2")] == (second & ~disc()).sum()
    assert found[("one", "index-2")] == 0


def test_folders_name_their_targets(tmp_path):
    for folder in ("Lung", "Lesion"):
        save(tmp_path / folder / "a.png", disc().astype(np.uint8) * 255)
    rows, _ = measure_files([tmp_path / "Lung", tmp_path / "Lesion"])
    assert [(row["case"], row["target"]) for row in rows] == [("a", "Lung"), ("a", "Lesion")]


def test_masks_in_subfolders_are_cases_by_their_path(tmp_path):
    mask = disc().astype(np.uint8)
    for folder in ("Lung", "Lesion"):
        for name in ("a/1.png", "b/1.png", "b/.hidden/1.png"):
            save(tmp_path / folder / name, mask * (255 if folder == "Lung" else 1))
    save(tmp_path / "Lung" / "2.png", mask * 255)
    rows, regions = measure_files([tmp_path / "Lung", tmp_path / "Lesion", tmp_path / "Lung" / "2.png"])
    found = [(row["case"], row["target"], row["pixels"]) for row in rows]
    cases = [("2", "Lung"), ("a/1", "Lung"), ("b/1", "Lung"), ("a/1", "Lesion"), ("b/1", "Lesion")]
    assert found == [(*case, mask.sum()) for case in cases]
    assert {row["case"] for row in regions} == {"2", "a/1", "b/1"}
    (tmp_path / "none" / "deep").mkdir(parents=True)
    (tmp_path / "none" / "deep" / "notes.txt").touch()
    with pytest.raises(HilumError, match="no image"):
        measure_files([tmp_path / "none"])


def rows_in(paths):
    rows, _ = measure_files(paths)
    return [(row["case"], row["target"]) for row in rows]


def test_a_folder_of_targets_is_taken_as_its_folders(tmp_path):
    for target in ("green", "index-2"):
        for name in ("0000", "b/0001"):
            save(tmp_path / "masks" / target / f"{name}.png", disc().astype(np.uint8) * 255)
    every = [(case, target) for target in ("green", "index-2") for case in ("0000", "b/0001")]
    assert rows_in([tmp_path / "masks"]) == rows_in(sorted((tmp_path / "masks").iterdir())) == every


def test_folders_of_other_names_are_cases(tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        save(tmp_path / name, disc().astype(np.uint8) * 255)
    assert rows_in([tmp_path]) == [("a/1", "mask"), ("b/1", "mask"), ("b/2", "mask")]


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path):
    for rater in ("rater1", "rater2"):
        for target in ("masks", "Lung"):
            save(tmp_path / rater / target / "a.png", disc().astype(np.uint8) * 255)
    first, second = tmp_path / "rater1", tmp_path / "rater2"
    assert rows_in([first / "masks", second / "masks"]) == [("a", "rater1"), ("a", "rater2")]
    every = [folder / target for folder in (first, second) for target in ("masks", "Lung")]
    found = [target for _, target in rows_in(every)]
    assert found == ["rater1/masks", "rater1/Lung", "rater2/masks", "rater2/Lung"]


def test_indices_in_several_folders_carry_the_folder(tmp_path):
    second = disc(centre=(30, 60), radius=8) & ~disc()
    for rater in ("one", "two"):
        save(tmp_path / rater / "a.png", disc().astype(np.uint8) + 2 * second.astype(np.uint8))
    targets = ["one-index-1", "one-index-2", "two-index-1", "two-index-2"]
    assert rows_in([tmp_path / "one", tmp_path / "two"]) == [("a", target) for target in targets]


def test_files_that_differ_in_their_extension_keep_it(tmp_path, monkeypatch):
    for name in ("a.png", "a.tif", "b.png"):
        save(tmp_path / "m" / name, disc().astype(np.uint8) * 255)
    every = [("a.png", "mask"), ("a.tif", "mask"), ("b", "mask")]
    assert rows_in([tmp_path / "m"]) == rows_in(sorted((tmp_path / "m").iterdir())) == every
    monkeypatch.chdir(tmp_path)
    assert rows_in(["m", tmp_path / "m"]) == every


def test_a_zarr_mask_in_a_subfolder(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "masks" / "a" / "1.ome.zarr"
    path.parent.mkdir(parents=True)
    with start_writer(path, (60, 80), Spacing((0.5, 0.5), "um"), "zarr", binary=True) as writer:
        writer.push(disc().astype(np.uint8) * 255)
    rows, _ = measure_files([tmp_path / "masks"])
    assert [(row["case"], row["pixels"]) for row in rows] == [("a/1", disc().sum())]


def test_volume(tmp_path):
    import SimpleITK as sitk  # noqa: N813

    volume = np.zeros((6, 20, 20), np.uint8)
    volume[2:4, 5:10, 5:10] = 1
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((0.5, 0.5, 2.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    rows, _ = measure_files([tmp_path / "scan.nii.gz"])
    assert rows[0]["case"] == "scan"
    assert rows[0]["volume"] == pytest.approx(50 * 0.5)
    assert rows[0]["unit"] == "mm³"
    wished, _ = measure_files([tmp_path / "scan.nii.gz"], parse_spacing("1mm"))
    assert wished[0]["volume"] == pytest.approx(50)


def test_all_bad_files_are_listed_at_once(tmp_path):
    save(tmp_path / "good.png", disc().astype(np.uint8) * 255)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(HilumError) as caught:
        measure_files([tmp_path])
    assert "text.png" in str(caught.value)
    assert "empty.png" in str(caught.value)


def test_a_photograph_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    with pytest.raises(HilumError, match="are these masks"):
        measure_files([save(tmp_path / "photo.png", noise)])


def test_nothing_to_measure(tmp_path):
    with pytest.raises(HilumError, match="no image"):
        measure_files([tmp_path])
    with pytest.raises(HilumError, match="nothing to measure"):
        measure_files([])
    with pytest.raises(HilumError, match=r"missing\.png"):
        measure_files([tmp_path / "missing.png"])


@pytest.mark.real
def test_real_masks(data):
    files = sorted((data / "lung_flu" / "train" / "Parenchyma_0.2").iterdir())[:2]
    rows, _ = measure_files(files, parse_spacing("2um"))
    assert len(rows) == 2
    assert all(row["unit"] == "µm²" and 0 < row["share_percent"] < 100 for row in rows)
