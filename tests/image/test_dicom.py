import io
import struct
import zipfile

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from hilum.errors import HilumError, ImageError
from hilum.image.dicom import list_series, read_picture, read_series
from hilum.image.readers import probe, read_image
from hilum.image.volume import read_volume, write_volume

UID = "1.2.826.0.1.3680043.8.498.1"
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def slice_bytes(z, pixels=None, *, uid=UID, orientation=STRAIGHT, position=None, rle=False, **tags):
    pixels = np.full((6, 8), int(10 * z), np.int16) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{uid}.{10000 + round(100 * z)}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = pydicom.Dataset()
    one.file_meta = meta
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.SeriesDescription, one.Modality = uid, f"chest {uid[-1]}", "CT"
    one.Rows, one.Columns = pixels.shape
    one.PixelSpacing, one.SliceThickness = [0.7, 0.5], 2.5
    one.ImageOrientationPatient = list(orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    one.ImagePositionPatient = list(np.round(position if position is not None else -50 + z * normal, 6))
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    for key, value in tags.items():
        if value is None:
            delattr(one, key)
        else:
            setattr(one, key, value)
    one.PixelData = pixels.tobytes()
    if rle:
        one.compress(RLELossless, pixels)
    content = io.BytesIO()
    one.save_as(content, enforce_file_format=True)
    return content.getvalue()


def folder(tmp_path, slices):
    for number, content in enumerate(slices):
        (tmp_path / f"{(number * 7) % 100:03d}.dcm").write_bytes(content)
    return tmp_path


def zipped(tmp_path, members):
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_slices_are_ordered_by_position_and_rescaled(tmp_path):
    image = read_series(folder(tmp_path, [slice_bytes(z) for z in (5.0, 0.0, 7.5, 2.5)]))
    assert image.array.shape == (1, 4, 6, 8)
    assert image.array.dtype == np.int16
    assert image.array[0, :, 0, 0].tolist() == [-1024, -999, -974, -949]
    assert image.spacing.sizes == (2.5, 0.7, 0.5)
    assert image.spacing.unit == "mm"
    assert image.geometry.origin == (-50.0, -50.0, -50.0)


def test_geometry_agrees_with_itk_even_oblique(tmp_path):
    turn = (0.8, 0.0, 0.6, 0.0, 1.0, 0.0)
    files = [
        slice_bytes(z, np.arange(48, dtype=np.int16).reshape(6, 8) + int(z), orientation=turn)
        for z in range(4)
    ]
    image = read_series(folder(tmp_path, files))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    itk = reader.Execute()
    np.testing.assert_allclose(image.geometry.direction, itk.GetDirection(), atol=1e-9)
    np.testing.assert_allclose(image.geometry.origin, itk.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(image.spacing.sizes[::-1], itk.GetSpacing(), atol=1e-6)
    np.testing.assert_array_equal(image.array[0], SimpleITK.GetArrayFromImage(itk))
    write_volume(tmp_path / "out.mhd", image)
    back = read_volume(tmp_path / "out.mhd")
    assert back.geometry == image.geometry
    assert back.spacing == image.spacing
    assert back.array.tobytes() == image.array.tobytes()


@pytest.mark.parametrize(
    ("slope", "intercept", "kind", "value"),
    [
        (1, -1024, np.int16, -924),
        (2, 0, np.int16, 200),
        (0.5, -10, np.float32, 40.0),
        (1000, 0, np.float32, 1e5),
    ],
)
def test_slope_and_intercept(tmp_path, slope, intercept, kind, value):
    pixels = np.full((6, 8), 100, np.uint16)
    files = [slice_bytes(z, pixels, RescaleSlope=slope, RescaleIntercept=intercept) for z in (0, 1)]
    image = read_series(folder(tmp_path, files))
    assert image.array.dtype == kind
    assert (image.array == value).all()


def test_two_series_are_listed_and_chosen_by_uid(tmp_path):
    other = UID[:-1] + "2"
    path = folder(tmp_path, [slice_bytes(z) for z in (0, 1, 2)] + [slice_bytes(z, uid=other) for z in (0, 3)])
    with pytest.raises(
        ImageError,
        match=r"2 series: .*\.1 \(chest 1, 3 slices\).*\.2 \(chest 2, 2 slices\); move each .*entry=",
    ):
        read_image(path)
    assert read_image(path, entry=other).array.shape == (1, 2, 6, 8)
    assert read_image(path, entry=UID).spacing.sizes[0] == 1.0
    with pytest.raises(ImageError, match=r"no series 9\.9; it has"):
        read_image(path, entry="9.9")
    assert [len(one.slices) for one in list_series(path)] == [3, 2]


def test_a_missing_slice_is_named_by_its_place(tmp_path):
    path = folder(tmp_path, [slice_bytes(z) for z in (0.0, 2.5, 5.0, 10.0, 12.5)])
    with pytest.raises(ImageError, match=r"missing between -45 and -40 mm \(others are 2\.5 mm apart"):
        read_series(path)


def test_uneven_steps(tmp_path):
    for name, places in (("a", (0, 2.5, 5.0, 7.6)), ("b", (0, 2.5, 5.0, 6.5))):
        (tmp_path / name).mkdir()
        folder(tmp_path / name, [slice_bytes(z) for z in places])
    assert "slice steps differ" in read_series(tmp_path / "a").notes[0]
    with pytest.raises(ImageError, match=r"1\.5 to 2\.5 mm apart"):
        read_series(tmp_path / "b")


def test_identical_duplicates_are_dropped_with_a_note_and_others_refused(tmp_path):
    for name, twin in (("same", slice_bytes(2)), ("other", slice_bytes(2, np.zeros((6, 8), np.int16)))):
        (tmp_path / name).mkdir()
        folder(tmp_path / name, [slice_bytes(1), slice_bytes(2), slice_bytes(3), twin])
    image = read_series(tmp_path / "same")
    assert image.array[0, :, 0, 0].tolist() == [-1014, -1004, -994]
    assert image.notes == ("1 repeated slices left out (identical)",)
    with pytest.raises(ImageError, match="both lie at -48 mm but differ"):
        read_series(tmp_path / "other")


def test_gantry_tilt_is_told(tmp_path, caplog):
    files = [slice_bytes(z, position=(0.0, 0.3 * z, float(z))) for z in range(0, 20, 2)]
    image = read_series(folder(tmp_path, files))
    assert "gantry tilt" in image.notes[0]
    assert "5.4 mm" in caplog.text
    assert probe(tmp_path).geometry is None, "nothing is compared with rough places"


def test_the_header_says_where_the_volume_lies(tmp_path):
    folder(tmp_path, [slice_bytes(z) for z in (5, 0, 2.5)])
    assert probe(tmp_path).geometry == read_series(tmp_path).geometry


def test_localisers_are_left_out_with_a_note(tmp_path):
    scout = slice_bytes(9, np.zeros((3, 3), np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    image = read_series(folder(tmp_path, [slice_bytes(0), slice_bytes(1), scout]))
    assert image.array.shape == (1, 2, 6, 8)
    assert image.notes == ("1 localiser images left out",)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (slice_bytes(2, np.zeros((5, 8), np.int16)), r"has Rows \[5\.0\]"),
        (slice_bytes(2, PixelSpacing=[0.7, 0.6]), "has PixelSpacing"),
        (slice_bytes(2, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, 1.0)), "has ImageOrientationPatient"),
        (slice_bytes(2, ImagePositionPatient=None), "does not say where it lies"),
        (slice_bytes(2, NumberOfFrames=2), "several frames"),
    ],
)
def test_slices_that_do_not_belong_are_named(tmp_path, odd, message):
    with pytest.raises(ImageError, match=message):
        read_series(folder(tmp_path, [slice_bytes(0), slice_bytes(1), odd]))


def test_pixels_cut_short_are_named(tmp_path):
    good = slice_bytes(1)
    path = folder(tmp_path, [slice_bytes(0), good[:-40]])
    with pytest.raises(ImageError, match=r"007\.dcm"):
        read_series(path)


def test_a_zip_is_read_in_place_with_strange_names(tmp_path):
    members = {f"../../evil/{z}.dcm": slice_bytes(z) for z in range(3)} | {
        "notes.txt": b"hello",
        "x/69.xml": b"<a/>",
    }
    path = zipped(tmp_path, members)
    before = sorted(file for file in tmp_path.parent.rglob("*"))
    image = read_image(path)
    assert image.array.shape == (1, 3, 6, 8)
    assert sorted(file for file in tmp_path.parent.rglob("*")) == before
    header = probe(path)
    assert (header.channels, header.shape, header.dtype) == (1, (3, 6, 8), np.int16)
    assert header.spacing == image.spacing
    assert header.entries == (UID,)


def test_zip_bombs_damage_and_encryption_are_told(tmp_path):
    with pytest.raises(ImageError, match="swell"):
        read_image(zipped(tmp_path, {"a.dcm": bytes(30_000_000)}))
    path = zipped(tmp_path, {f"{z}.dcm": slice_bytes(z) for z in range(3)})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"0\.dcm in it is damaged"):
        read_image(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError):
        read_image(path)
    locked = bytearray(zipped(tmp_path, {"a.dcm": slice_bytes(0)}).read_bytes())
    at = locked.index(b"PK\x01\x02") + 8
    locked[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(locked)
    with pytest.raises(ImageError, match="encrypted"):
        read_image(path)


def test_folders_without_dicom_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("no")
    with pytest.raises(ImageError, match="holds no DICOM image"):
        read_image(tmp_path)
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    for path in (tmp_path, tmp_path / "b.dcm"):
        with pytest.raises(ImageError, match=r"b\.dcm"):
            read_image(path)
    with pytest.raises(ImageError, match="neither a folder nor a file"):
        read_series(tmp_path / "absent")


@pytest.mark.parametrize("length", [50, 150, 172, 385, 600])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_slice_cut_short_is_told_and_never_left_out(tmp_path, length, number):
    contents = [slice_bytes(2.5 * at) for at in range(3)]
    contents[number] = contents[number][:length]
    for at, content in enumerate(contents):
        (tmp_path / f"{at}.dcm").write_bytes(content)
    with pytest.raises(ImageError):
        read_image(tmp_path)
    (tmp_path / f"{number}.dcm").unlink()
    (tmp_path / "notes.txt").write_text("not a slice")
    if number != 1:
        assert read_image(tmp_path).shape[0] == 2


def test_a_size_above_the_limit_is_refused(tmp_path):
    path = folder(tmp_path, [slice_bytes(0), slice_bytes(1)])
    with pytest.raises(ImageError, match="limit 100 bytes"):
        read_series(path, limit_bytes=100)
    bad = folder(
        tmp_path, [slice_bytes(0, Rows=60000, Columns=60000), slice_bytes(1, Rows=60000, Columns=60000)]
    )
    with pytest.raises(ImageError, match="60000"):
        read_series(bad)


def test_a_single_file_is_a_picture(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(slice_bytes(0, np.arange(48, dtype=np.uint16).reshape(6, 8), RescaleIntercept=0))
    image = read_image(path)
    assert image.array.shape == (1, 6, 8)
    assert image.spacing.sizes == (0.7, 0.5)
    assert probe(path).shape == (6, 8)
    assert image.array[0, 0, :3].tolist() == [0, 1, 2]


def test_monochrome1_is_turned_round_with_a_note(tmp_path):
    path = tmp_path / "a.dcm"
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8)
    path.write_bytes(slice_bytes(0, pixels, RescaleIntercept=0, PhotometricInterpretation="MONOCHROME1"))
    image = read_picture(path)
    assert image.array[0, 0, 0] == 47
    assert "MONOCHROME1" in image.notes[0]


def packed_bytes(codec, pixels, bits):
    """A MONOCHROME1 picture, packed by a codec ("" for none)."""
    one = pydicom.dcmread(
        io.BytesIO(
            slice_bytes(
                0,
                pixels,
                PhotometricInterpretation="MONOCHROME1",
                RescaleIntercept=0,
                BitsAllocated=8 * pixels.itemsize,
                BitsStored=bits,
                HighBit=bits - 1,
            )
        )
    )
    if codec == "rle":
        one.compress(RLELossless)
    elif codec:
        syntax, encode = CODECS[codec]
        one.file_meta.TransferSyntaxUID = syntax
        one.PixelData = encapsulate([encode(pixels)])
        one["PixelData"].VR = "OB"
    content = io.BytesIO()
    one.save_as(content, enforce_file_format=True)
    return content.getvalue()


CODECS = {
    "j2k": (
        JPEG2000Lossless,
        lambda pixels: imagecodecs.jpeg2k_encode(
            pixels, level=0, reversible=True, codecformat="j2k", bitspersample=12
        ),
    ),
    "jpeg-lossless": (JPEGLosslessSV1, lambda pixels: imagecodecs.ljpeg_encode(pixels, bitspersample=12)),
    "jpeg-ls": (JPEGLSLossless, imagecodecs.jpegls_encode),
    "jpeg": (JPEGBaseline8Bit, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=98)),
}


@pytest.mark.parametrize("codec", ["rle", "j2k", "jpeg-lossless", "jpeg-ls", "jpeg"])
def test_monochrome1_is_turned_round_once_whatever_packed_it(tmp_path, codec):
    kind, top, bits = (np.uint8, 250, 8) if codec == "jpeg" else (np.uint16, 4000, 12)
    pixels = np.tile(np.linspace(0, top, 48), (32, 1)).astype(kind)
    for name in ("", codec):
        (tmp_path / f"{name or 'raw'}.dcm").write_bytes(packed_bytes(name, pixels, bits))
    raw, packed = read_picture(tmp_path / "raw.dcm"), read_picture(tmp_path / f"{codec}.dcm")
    assert raw.array[0, 0, 0] == top
    tolerance = 4 if codec == "jpeg" else 0
    np.testing.assert_allclose(packed.array, raw.array, atol=tolerance, rtol=0)
    assert packed.notes == raw.notes


def test_slices_of_monochrome1_stay_as_stored_whatever_packed_them(tmp_path):
    pixels = np.tile(np.arange(48, dtype=np.uint16), (32, 1))
    for name in ("raw", "j2k"):
        (tmp_path / name).mkdir()
        for z in (0, 1):
            one = pydicom.dcmread(io.BytesIO(packed_bytes("" if name == "raw" else name, pixels, 12)))
            one.ImagePositionPatient = [0, 0, z]
            one.save_as(tmp_path / name / f"{z}.dcm", enforce_file_format=True)
    raw, packed = read_series(tmp_path / "raw"), read_series(tmp_path / "j2k")
    np.testing.assert_array_equal(raw.array[0, 0], pixels)
    np.testing.assert_array_equal(packed.array, raw.array)


TABLE = np.random.default_rng(5).integers(0, 255, (3, 40)).astype(np.uint8)


def palette_bytes(first, bits, indices, **more):
    """A picture of indices from `first` on into TABLE, kept in so many bits a colour."""
    kept = TABLE if bits == 8 else TABLE.astype("<u2") * 257
    names = ("Red", "Green", "Blue")
    tables = {
        f"{name}PaletteColorLookupTableData": row.tobytes() for name, row in zip(names, kept, strict=True)
    }
    sizes = {f"{name}PaletteColorLookupTableDescriptor": [40, first, bits] for name in names}
    return slice_bytes(
        0, indices, PhotometricInterpretation="PALETTE COLOR", RescaleIntercept=0, **tables, **sizes, **more
    )


@pytest.mark.parametrize(("first", "bits", "rle"), [(0, 8, False), (0, 16, True), (5, 16, False)])
def test_palette_colours_become_rgb(tmp_path, first, bits, rle):
    indices = np.random.default_rng(1).integers(0, 60, (6, 8)).astype(np.uint16)
    path = tmp_path / "a.dcm"
    path.write_bytes(palette_bytes(first, bits, indices, rle=rle))
    for image in (read_image(path), read_picture(path)):
        assert image.array.dtype == np.uint8
        assert (image.array == TABLE[:, np.clip(indices.astype(int) - first, 0, 39)]).all()
        assert "PALETTE COLOR" in image.notes[0]
    header = probe(path)
    assert (header.channels, header.shape, header.dtype) == (3, (6, 8), np.uint8)


def test_palette_colours_of_a_compressed_picture(tmp_path):
    indices = np.random.default_rng(1).integers(0, 40, (32, 32)).astype(np.uint16)
    one = pydicom.dcmread(io.BytesIO(palette_bytes(0, 16, indices)))
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.PixelData = encapsulate(
        [imagecodecs.jpeg2k_encode(indices, level=0, reversible=True, codecformat="j2k")]
    )
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert (read_image(tmp_path / "a.dcm").array == TABLE[:, indices]).all()


def test_damaged_palettes_and_volumes_of_colours_are_told(tmp_path):
    indices = np.zeros((6, 8), np.uint16)
    for name, tag in (("short", "Data"), ("none", "Descriptor")):
        one = pydicom.dcmread(io.BytesIO(palette_bytes(0, 8, indices)))
        for colour in ("Red", "Green", "Blue"):
            setattr(one, f"{colour}PaletteColorLookupTable{tag}", b"ab" if tag == "Data" else None)
        one.save_as(tmp_path / f"{name}.dcm")
        with pytest.raises(ImageError, match="cannot be decoded"):
            read_image(tmp_path / f"{name}.dcm")
    (tmp_path / "stack").mkdir()
    folder(tmp_path / "stack", [palette_bytes(0, 8, indices, ImagePositionPatient=[0, 0, z]) for z in (0, 1)])
    with pytest.raises(ImageError, match="colours"):
        read_series(tmp_path / "stack")


def test_run_length_slices_are_decoded(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2000, (6, 8)).astype(np.int16)
    image = read_series(folder(tmp_path, [slice_bytes(z, pixels, rle=True) for z in range(2)]))
    np.testing.assert_array_equal(image.array[0, 1], pixels - 1024)


def test_jpeg_2000_slices_are_decoded_with_their_slope(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2000, (16, 16)).astype(np.int16)
    plain = tmp_path / "plain.dcm"
    plain.write_bytes(slice_bytes(0, pixels))
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.KeepOriginalImageUIDOn()
    writer.Execute(SimpleITK.Cast(SimpleITK.ReadImage(str(plain)), SimpleITK.sitkInt16))
    assert pydicom.dcmread(tmp_path / "packed.dcm").file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_picture(tmp_path / "packed.dcm").array[0], pixels - 1024)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_byte_is_read_or_told_never_a_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz")
    content = bytearray(slice_bytes(2))
    for _ in range(4):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    (path / "a.dcm").write_bytes(slice_bytes(1))
    (path / "b.dcm").write_bytes(content)
    for read in (read_series, read_image, probe):
        try:
            assert read(path)
        except HilumError as error:
            assert str(path) in str(error)  # noqa: PT017
