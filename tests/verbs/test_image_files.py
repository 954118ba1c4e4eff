import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.planning.plan import Plan
from hilum.study.masks import read_case_image
from hilum.study.study import Source
from hilum.verbs.image_files import image_sources
from hilum.verbs.predict import find_cases

UID = "1.2.826.0.1.3680043.8.498.7"


def dicom(path, z, uid=UID):
    """A slice at z mm; a picture that says no place where z is None."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{uid}.{path.stem}"
    one = pydicom.Dataset()
    one.file_meta = meta
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.Modality = uid, "DX" if z is None else "CT"
    one.Rows, one.Columns = 16, 12
    if z is not None:
        one.PixelSpacing, one.SliceThickness = [0.7, 0.7], 2.5
        one.ImageOrientationPatient, one.ImagePositionPatient = [1.0, 0, 0, 0, 1.0, 0], [0, 0, z]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 1
    one.RescaleSlope, one.RescaleIntercept = 1, 0
    one.PixelData = np.full((16, 12), len(uid), np.int16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)


@pytest.fixture
def series(tmp_path):
    """Makes a series of so many slices in a folder."""

    def make(name, number, uid=UID):
        for at in range(number):
            dicom(tmp_path / name / f"{at}.dcm", 2.5 * at, uid)
        return tmp_path / name

    return make


def test_other_images_beside_a_series_are_images_too(series):
    scan = series("scan", 3)
    write_volume(
        scan / "extra.nii.gz", Image(np.zeros((1, 4, 16, 12), np.int16), Spacing((2.5, 0.7, 0.7), "mm"))
    )
    Pillow.new("L", (8, 8)).save(scan / "view.png")
    (scan / "notes.txt").write_text("made by us")
    assert image_sources(scan) == [Source(scan), Source(scan / "extra.nii.gz"), Source(scan / "view.png")]


def test_series_in_folders_of_their_uids_are_named_by_the_whole_of_these(tmp_path, series):
    for uid in ("2.25.71", "2.25.72"):
        series(f"patients/{uid}", 3)
    assert [case.name for case in find_cases([tmp_path / "patients"], Plan())] == ["2.25.71", "2.25.72"]


def test_labels_in_another_case_than_the_run_s_are_labels_all_the_same(tmp_path):
    for name in ("Normal", "Sick"):
        for number in range(3):
            path = tmp_path / name / f"{name}{number}.png"
            path.parent.mkdir(exist_ok=True)
            Pillow.new("L", (8, 8)).save(path)
    plan = Plan()
    plan.data.outputs = ["SICK"]
    cases = find_cases([tmp_path], plan, ("NORMAL", "SICK"))
    assert [case.labels for case in cases] == [{"NORMAL": 1, "SICK": 0}] * 3 + [{"NORMAL": 0, "SICK": 1}] * 3


def test_radiographs_of_one_series_are_pictures(tmp_path):
    for number in (1, 2):
        dicom(tmp_path / "patient" / f"{number}.dcm", None)
    cases = find_cases([tmp_path], Plan())
    assert [case.image.path.name for case in cases] == ["1.dcm", "2.dcm"]
    assert [read_case_image(case).shape for case in cases] == [(16, 12), (16, 12)]


def test_a_slice_without_a_place_does_not_make_pictures_of_the_others(series):
    """Its volume is refused by name then, as one slice is missing."""
    scan = series("scan", 3)
    dicom(scan / "3.dcm", None)
    assert image_sources(scan) == [Source(scan)]


def test_series_in_a_folder_and_in_one_of_it_are_two_scans(tmp_path, series):
    series("patients/pat", 3)
    series("patients/pat/sub", 2, f"{UID}.2")
    cases = find_cases([tmp_path / "patients"], Plan())
    assert [case.image.path.name for case in cases] == ["pat", "sub"]
    assert len({case.name for case in cases}) == 2
    assert [read_case_image(case).shape for case in cases] == [(3, 16, 12), (2, 16, 12)]


def test_pictures_above_a_series_stay_pictures(tmp_path, series):
    series("pat/scan", 3)
    for number in (1, 2):
        dicom(tmp_path / "pat" / f"{number}.dcm", None, f"{UID}.3")
    found = [source.path.name for source in image_sources(tmp_path / "pat")]
    assert found == ["scan", "1.dcm", "2.dcm"]
