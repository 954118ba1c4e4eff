import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

import hilum
from hilum.errors import HilumError
from hilum.exchange.dicom_seg import write_dicom_seg, write_dicom_segs
from hilum.image.dicom import read_series, volume_headers
from hilum.image.writers import write_image
from hilum.study.study import Source

highdicom = pytest.importorskip("highdicom")
TILTED = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)


@pytest.fixture(params=[(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), TILTED], ids=["straight", "oblique"])
def series(request, tmp_path):
    """A small CT in a folder, its slices named against their order."""
    folder = tmp_path / "ct"
    folder.mkdir()
    study, uid, frame = generate_uid(), generate_uid(), generate_uid()
    along, down = np.reshape(request.param, (2, 3))
    for number in range(6):
        one = pydicom.Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, uid, frame
        one.PatientID, one.PatientName, one.PatientBirthDate, one.PatientSex = "p", "P", "", "O"
        one.StudyID, one.StudyDate, one.StudyTime, one.AccessionNumber = "1", "20200101", "120000", ""
        one.ReferringPhysicianName, one.Modality, one.SeriesNumber = "", "CT", 1
        one.InstanceNumber, one.Rows, one.Columns = number + 1, 10, 8
        one.PixelSpacing, one.SliceThickness = [0.7, 0.7], 2.5
        one.ImageOrientationPatient = list(request.param)
        one.ImagePositionPatient = (
            np.array([-5.0, 3.0, 10.0]) + 2.5 * number * np.cross(along, down)
        ).tolist()
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.PixelData = np.full((10, 8), 100 * number, np.int16).tobytes()
        one.save_as(folder / f"{9 - number}.dcm", enforce_file_format=True)
    return folder


def masks_of(image):
    masks = np.zeros((2, *image.shape), bool)
    masks[0, 1:4, 2:5, 1:7] = True
    masks[1, 3, 7, 2] = True
    return masks


def test_headers_are_in_the_order_of_the_planes(series):
    image, headers = read_series(series), volume_headers(series)
    assert [int(header.InstanceNumber) for header in headers] == [1, 2, 3, 4, 5, 6]
    assert image.array[0, :, 0, 0].tolist() == [0, 100, 200, 300, 400, 500]


def test_the_segmentation_lies_where_the_mask_lies(series, tmp_path):
    image = read_series(series)
    masks = masks_of(image)
    write_dicom_seg(tmp_path / "seg.dcm", volume_headers(series), masks, ["nodule", "Other"])
    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert [read.get_segment_description(number).SegmentLabel for number in (1, 2)] == ["nodule", "Other"]
    assert read.get_segment_description(1).segmented_property_type.meaning == "Nodule"
    assert read.FrameOfReferenceUID == volume_headers(series)[0].FrameOfReferenceUID
    for number in (1, 2):
        uids = [header.SOPInstanceUID for header in volume_headers(series)]
        planes = read.get_pixels_by_source_instance(
            uids, segment_numbers=[number], combine_segments=True, assert_missing_frames_are_empty=True
        )
        assert np.array_equal(planes > 0, masks[number - 1])


def test_simpleitk_finds_it_on_the_grid_of_the_ct(series, tmp_path):
    image = read_series(series)
    masks = masks_of(image)[:1]
    write_dicom_seg(tmp_path / "seg.dcm", volume_headers(series), masks, ["nodule"])
    found = SimpleITK.ReadImage(str(tmp_path / "seg.dcm"))
    ct = SimpleITK.ImageSeriesReader()
    ct.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))
    grid = ct.Execute()
    inside = np.argwhere(SimpleITK.GetArrayViewFromImage(found))
    places = [found.TransformIndexToPhysicalPoint([int(at) for at in index[::-1]]) for index in inside]
    on_grid = {tuple(reversed(grid.TransformPhysicalPointToIndex(place))) for place in places}
    assert on_grid == {tuple(map(int, index)) for index in np.argwhere(masks[0])}


def test_masks_on_disk_become_one_file_a_series(series, tmp_path, caplog):
    image = read_series(series)
    masks = masks_of(image)
    for name, mask in zip(("a", "b"), masks, strict=True):
        path = tmp_path / "out" / "masks" / name / "ct.nii.gz"
        write_image(path, image.with_array(mask[None].astype(np.uint8)))
    cases = {"ct": Source(series), "other": Source(tmp_path / "x.png")}
    (written,) = write_dicom_segs(tmp_path / "out", cases, ["a", "b"])
    read = highdicom.seg.segread(written)
    pixels = read.get_volume(combine_segments=False).array
    assert int(pixels.sum()) == int(masks.sum())
    assert "other: is no DICOM series" in caplog.text


def test_masks_of_another_size_are_refused(series, tmp_path):
    with pytest.raises(HilumError, match="6 slices"):
        write_dicom_seg(tmp_path / "seg.dcm", volume_headers(series), np.zeros((1, 5, 10, 8), bool), ["a"])


def test_without_the_package_nothing_is_begun(phantom_run, phantom_study, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[export\]'"):
        hilum.predict(phantom_run.folder, phantom_study / "pred", tmp_path / "out", dicom_seg=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_on_a_real_ct_every_voxel_comes_back(data, tmp_path):
    path = data / "ct_lidc_0001" / "LIDC-IDRI-0001.zip"
    image, headers = read_series(path), volume_headers(path)
    mask = np.zeros((1, *image.shape), bool)
    mask[0, 60:64, 300:320, 350:380] = True
    write_dicom_seg(tmp_path / "seg.dcm", headers, mask, ["nodule"])
    found = SimpleITK.ReadImage(str(tmp_path / "seg.dcm"))
    inside = np.argwhere(SimpleITK.GetArrayViewFromImage(found))
    assert len(inside) == int(mask.sum())
    at = found.TransformIndexToPhysicalPoint([int(index) for index in inside[0][::-1]])
    spacing = np.array(image.spacing.sizes[::-1])
    voxel = (np.array(at) - np.array(image.geometry.origin)) / spacing
    assert mask[0][tuple(np.rint(voxel[::-1]).astype(int))]


def test_tags_that_may_be_empty_may_be_left_out(series, tmp_path):
    """De-identified series often lack them, though DICOM wants them there and empty."""
    for path in series.iterdir():
        one = pydicom.dcmread(path)
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID"):
            delattr(one, keyword)
        one.save_as(path)
    headers = volume_headers(series)
    write_dicom_seg(tmp_path / "seg.dcm", headers, masks_of(read_series(series)), ["a", "b"])
    assert pydicom.dcmread(tmp_path / "seg.dcm").PatientBirthDate == ""
