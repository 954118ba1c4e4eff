"""Bad scans, marks and X-rays at the command line: one clear message that names them, nothing written."""

import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from dicom_slices import write_slice
from hilum.errors import StudyError
from hilum.image.image import Geometry, Image
from hilum.image.readers import read_image
from hilum.image.volume import read_volume, write_volume
from hilum.phantoms.make import make_phantom
from hilum.planning.plan import Plan
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import open_study
from hilum.study.study import Case, Encoding, MaskSource, Source
from hilum.verbs.predict import find_cases

UID = "1.2.826.0.1.3680043.8.498.7"


@pytest.fixture(scope="module")
def luna(tmp_path_factory):
    """Four very coarse phantom scans in the layout of LUNA16; tests change copies."""
    return make_phantom("ct", tmp_path_factory.mktemp("luna") / "study", cases=4, size=(24, 48, 48))


@pytest.fixture
def study(luna, tmp_path):
    shutil.copytree(luna, tmp_path / "study")
    return tmp_path / "study"


def scans(folder):
    return sorted(folder.rglob("*.mhd"))


def rows(folder, change):
    table = folder / "annotations.csv"
    head, *lines = table.read_text().splitlines()
    table.write_text("\n".join([head, *change(lines)]) + "\n")


def missing_raw(folder):
    lost = scans(folder)[1].with_suffix(".raw")
    lost.unlink()
    return [lost.name, "missing", "beside it"]


def short_raw(folder):
    short = scans(folder)[2].with_suffix(".raw")
    short.write_bytes(short.read_bytes()[:5000])
    return [short.name, "110,592 bytes are expected", "5,000 were found", "copy or export it again"]


def voxels_that_are_no_numbers(folder):
    path = scans(folder)[0]
    image = read_volume(path)
    array = image.array.astype(np.float32)
    array[0, 3, 4, 5] = np.nan
    write_volume(path, image.with_array(array))
    return [path.name, "1 voxel is NaN", "(3, 4, 5)", "replace"]


def mark_outside(folder):
    def move(lines):
        name, _, *rest = lines[0].split(",")
        return [",".join([name, "4000.0", *rest]), *lines[1:]]

    rows(folder, move)
    return ["a mark at (4000, ", "outside the volume", ".mhd", "mend its row"]


def mark_without_diameter(folder):
    rows(folder, lambda lines: [*lines, f"{scans(folder)[0].stem},1,2,3,"])
    return ["annotations.csv", "line ", "diameter above zero"]


def table_without_column(folder):
    table = folder / "annotations.csv"
    table.write_text(table.read_text().replace("diameter_mm", "width"))
    return ["annotations.csv", "no column diameter_mm", "needed are"]


def table_without_marks(folder):
    rows(folder, lambda lines: [])
    return ["annotations.csv", "holds no mark", "4 volumes"]


BAD = (
    missing_raw,
    short_raw,
    voxels_that_are_no_numbers,
    mark_outside,
    mark_without_diameter,
    table_without_column,
    table_without_marks,
)


def assert_refused(done, says, lines=1):
    assert done.code == 1, done
    assert not done.out
    assert done.err.startswith("error: ")
    assert len(done.err.strip().splitlines()) == lines, done.err
    for words in says:
        assert words in done.err, (words, done.err)


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_study_of_scans_is_refused_by_name(command, study, tmp_path, spoil):
    says = spoil(study)
    assert_refused(command("train", study, "--out", tmp_path / "run", "--steps", 1), says)
    assert not (tmp_path / "run").exists()


def test_all_that_is_wrong_is_said_at_once(command, study, tmp_path):
    says = [*missing_raw(study), *short_raw(study), *mark_outside(study)]
    done = command("train", study, "--out", tmp_path / "run", "--steps", 1)
    assert_refused(done, [*says, "3 problems", "--skip-bad"], lines=4)
    assert not (tmp_path / "run").exists()


def test_marks_outside_are_told_from_the_headers_alone(study):
    """Studies of more than 400 MB are not decoded at the door."""
    says = mark_outside(study)
    with pytest.raises(StudyError) as told:
        open_study(study, thorough=False)
    assert all(words in str(told.value) for words in says)


def test_a_series_without_a_file_is_a_warning_that_names_it(command, study):
    rows(study, lambda lines: [*lines, "1.2.3.4,0,0,0,5"])
    done = command("inspect", study)
    assert done.code == 0
    assert "WARNING: 1 seriesuid of annotations.csv without a volume: 1.2.3.4" in done.out


def test_inspect_tells_scans_and_marks(command, luna):
    done = command("inspect", luna)
    assert done.code == 0
    number = len((luna / "annotations.csv").read_text().splitlines()) - 1
    for words in (
        "volumes with marks",
        "Cases: 4",
        "48 x 48 x 24 pixels",
        "Spacing (z x y x x)",
        f"Marks: {number} in 4 of 4 volumes",
        "diameters ",
        "15 and more: ",
    ):
        assert words in done.out, done.out


def test_marks_made_twice_and_values_that_are_no_hounsfield_units_are_told(command, study):
    rows(study, lambda lines: [*lines, lines[0]])
    path = scans(study)[1]
    image = read_volume(path)
    write_volume(path, image.with_array((np.clip(image.array, -1000, 400) + 1000).astype(np.int16)))
    done = command("inspect", study)
    assert "two marks lie within one radius in 1 volume" in done.out
    assert f"no value below zero in 1 volume: {path.stem}" in done.out
    assert "marks narrower than 2 voxels" in done.out


# DICOM series, as a run is asked to predict them.


def dicom_slice(path, z, uid=UID):
    write_slice(path, z, (16, 16), (0.7, 0.7), uid, "chest")


@pytest.mark.parametrize(
    ("slices", "says"),
    [
        (
            [(z, UID) for z in range(3)] + [(z, f"{UID}.2") for z in range(2)],
            ["2 series", "(chest, 3 slices)", "(chest, 2 slices)", "own folder"],
        ),
        ([(z, UID) for z in (0, 1, 2, 4, 5)], ["missing between 5 and 10 mm", "2.5 mm apart"]),
    ],
    ids=["two series", "a slice missing"],
)
def test_a_dicom_folder_that_is_no_volume_is_refused(command, phantom_run, tmp_path, slices, says):
    for number, (z, uid) in enumerate(slices):
        dicom_slice(tmp_path / "scan" / f"{number:03d}.dcm", z, uid)
    done = command("predict", phantom_run.folder, tmp_path / "scan", "--out", tmp_path / "out")
    assert_refused(done, [str(tmp_path / "scan"), *says])
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_slices_of_a_series_are_one_image_and_single_files_are_pictures(tmp_path, phantom_run):
    for patient in ("a", "b"):
        for number in range(3):
            dicom_slice(tmp_path / "scans" / patient / f"{number}.dcm", number)
    Pillow.new("L", (8, 8)).save(tmp_path / "scans" / "c.png")
    cases = find_cases([tmp_path / "scans"], phantom_run.plan)
    assert [case.image.path.name for case in cases] == ["a", "b", "c.png"]
    assert [case.name for case in cases] == ["a", "b", "c"]


# X-rays.


def xray(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (8, 10)).astype(np.uint8)
    Pillow.fromarray(small).resize((80, 64), Pillow.Resampling.BICUBIC).save(path)


def xrays(folder, **numbers):
    for name, number in numbers.items():
        for index in range(number):
            xray(folder / name / f"{name[0].lower()}{index}.jpg", 100 * len(name) + index)
    return folder


def one_class_only(folder):
    xrays(folder, NORMAL=8)
    return 1, ["one class only", "NORMAL, 8 images", "at least two class folders"]


def a_class_with_two_images(folder):
    xrays(folder, NORMAL=8, PNEUMONIA=2)
    return 1, ["class PNEUMONIA: 2 images only", "at least 3", "p0, p1"]


def corrupt_files_among_good_ones(folder):
    xrays(folder, NORMAL=8, PNEUMONIA=8)
    for name in ("NORMAL/n3.jpg", "PNEUMONIA/p5.jpg"):
        (folder / name).write_bytes((folder / name).read_bytes()[:600])
    (folder / "PNEUMONIA" / "p6.jpg").write_text("hello")
    says = [
        "n3.jpg: is a damaged or cut short JPEG",
        "p5.jpg: is a damaged",
        "p6.jpg: is not a JPEG file but a text",
    ]
    return 4, [*says, "3 problems"]


def labels_without_a_file(folder):
    for index in range(8):
        xray(folder / f"a{index}.jpg", index)
    lines = [f"a{index}.jpg,{'SICK' if index % 2 else 'WELL'}" for index in range(8)]
    lines += ["gone1.jpg,SICK", "gone2.jpg,WELL"]
    (folder / "study.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    return 1, ["study.csv", "gone1.jpg (line 10)", "gone2.jpg (line 11)"]


def everything_at_once(folder):
    xrays(folder, NORMAL=8, PNEUMONIA=2)
    path = folder / "NORMAL" / "n3.jpg"
    path.write_bytes(path.read_bytes()[:600])
    return 3, ["2 problems", "n3.jpg", "class PNEUMONIA: 2 images only"]


@pytest.mark.parametrize(
    "make",
    [
        one_class_only,
        a_class_with_two_images,
        corrupt_files_among_good_ones,
        labels_without_a_file,
        everything_at_once,
    ],
    ids=lambda make: make.__name__,
)
def test_bad_xrays_are_refused_by_name_all_at_once(command, tmp_path, make):
    lines, says = make(tmp_path / "study")
    done = command("train", tmp_path / "study", "--out", tmp_path / "run", "--steps", 1)
    assert_refused(done, says, lines)
    assert not (tmp_path / "run").exists()


def test_slices_without_a_suffix_are_one_scan_and_single_ones_pictures(tmp_path):
    patients = tmp_path / "patients"
    for name, number in (("a", 3), ("b/series", 2), ("c", 1)):
        for z in range(number):
            dicom_slice(patients / name / f"IM{z:04d}", z)
    dicom_slice(patients / "c" / "1.2.840.77", 2, uid=f"{UID}.1")
    for name, content in (("a/README", b"made by us"), ("DICOMDIR", bytes(128) + b"DICM"), ("a/empty", b"")):
        (patients / name).write_bytes(content)
    cases = find_cases([patients], Plan())
    found = [case.image.path.relative_to(patients).as_posix() for case in cases]
    assert found == ["a", "b/series", "c/1.2.840.77", "c/IM0000"]
    assert [read_case_image(case).shape for case in cases] == [(3, 16, 16), (2, 16, 16), (16, 16), (16, 16)]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "IM0000").write_bytes(b"no image")
    with pytest.raises(StudyError, match="no image found"):
        find_cases([tmp_path / "notes"], Plan())


def test_a_mask_with_rows_the_other_way_lies_on_its_dicom_scan(tmp_path):
    """As converters to NIfTI write them."""
    for z in range(3):
        dicom_slice(tmp_path / "scan" / f"{z}.dcm", z)
    image = read_image(tmp_path / "scan")
    truth = np.zeros((3, 16, 16), np.uint8)
    truth[1, 2:5, 3:9] = 1
    start = (0.0, 15 * 0.7, 0.0)
    geometry = Geometry(start, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    write_volume(tmp_path / "mask.nii.gz", Image(truth[None, :, ::-1], image.spacing, geometry=geometry))
    mask = MaskSource((Source(tmp_path / "mask.nii.gz"),), Encoding("threshold", 0.5))
    case = Case("scan", Source(tmp_path / "scan"), {"nodule": mask})
    assert (read_masks(case, ["nodule"], image.shape)[0][0] == truth).all()
