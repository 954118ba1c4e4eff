import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError, ImageError
from hilum.image.image import Geometry, Image
from hilum.image.readers import VOLUME_SUFFIXES, probe, read_image
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.image.volume import read_volume, suffix_of, write_volume

OBLIQUE = (0.8, 0.0, 0.6, 0.0, -1.0, 0.0, 0.6, 0.0, -0.8)


def volume(dtype=np.int16, shape=(1, 3, 4, 5), seed=0):
    numbers = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        array = numbers.normal(size=shape).astype(kind)
    else:
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        array = numbers.integers(low, high, shape, dtype=kind, endpoint=True)
    return Image(array, Spacing((2.5, 0.7, 1 / 3), "mm"), geometry=Geometry((-166.1, 12.25, -340.0), OBLIQUE))


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["i2", "u1", "f4", "u2", "f8", "i4"])
def test_round_trip_is_bit_for_bit_with_geometry(tmp_path, suffix, compress, dtype):
    if (suffix, compress) in ((".nii", True), (".nii.gz", False)):
        pytest.skip("the suffix decides")
    image = volume(dtype)
    write_volume(tmp_path / f"scan{suffix}", image, compress=compress)
    back = read_volume(tmp_path / f"scan{suffix}")
    assert back.array.dtype == image.array.dtype
    assert back.array.tobytes() == image.array.tobytes()
    assert back.spacing.unit == "mm"
    exact = not suffix.startswith(".nii")
    tolerance = 0 if exact else 1e-5
    np.testing.assert_allclose(back.spacing.sizes, image.spacing.sizes, rtol=tolerance)
    np.testing.assert_allclose(back.geometry.origin, image.geometry.origin, rtol=tolerance)
    np.testing.assert_allclose(back.geometry.direction, OBLIQUE, atol=0 if exact else 1e-6)


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    suffix=st.sampled_from([".mha", ".nrrd", ".nii.gz"]),
    seed=st.integers(0, 99),
)
def test_any_shape_and_channels_come_back(tmp_path_factory, shape, suffix, seed):
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    image = Image(volume(np.float32, shape, seed).array, Spacing((1.5, 2.0, 0.5), "mm"))
    write_volume(path, image)
    np.testing.assert_array_equal(read_volume(path).array, image.array)
    assert probe(path).shape == shape[1:]
    assert probe(path).channels == shape[0]


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".nii", ".mhd"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_image_is_cyx(tmp_path, suffix, channels):
    image = Image(
        np.arange(20 * channels, dtype=np.uint8).reshape(channels, 4, 5), Spacing((0.5, 0.25), "mm")
    )
    write_volume(tmp_path / f"flat{suffix}", image)
    back = read_image(tmp_path / f"flat{suffix}")
    assert back.axes == "CYX"
    assert back.spacing == image.spacing
    np.testing.assert_array_equal(back.array, image.array)


def test_geometry_is_what_itk_says(tmp_path):
    write_volume(tmp_path / "scan.mhd", volume())
    itk = SimpleITK.ReadImage(str(tmp_path / "scan.mhd"))
    assert itk.GetSpacing() == (1 / 3, 0.7, 2.5)
    assert itk.GetOrigin() == (-166.1, 12.25, -340.0)
    assert itk.GetDirection() == OBLIQUE
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), volume().array[0])


def test_a_fourth_axis_becomes_channels_with_a_note(tmp_path):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), str(tmp_path / "four.nii.gz"))
    image = read_volume(tmp_path / "four.nii.gz")
    np.testing.assert_array_equal(image.array, array)
    assert "channels" in image.notes[0]


def test_probe_agrees_with_read(tmp_path):
    for suffix in VOLUME_SUFFIXES:
        write_volume(tmp_path / f"scan{suffix}", volume())
        header, image = probe(tmp_path / f"scan{suffix}"), read_image(tmp_path / f"scan{suffix}")
        assert (header.channels, *header.shape) == image.array.shape
        assert header.dtype == image.array.dtype
        assert header.spacing == image.spacing


def test_overwriting_leaves_one_consistent_pair(tmp_path):
    path = tmp_path / "scan.mhd"
    for seed, compress in ((1, False), (2, False), (3, True), (4, False)):
        write_volume(path, volume(seed=seed), compress=compress)
        np.testing.assert_array_equal(read_volume(path).array, volume(seed=seed).array)
        assert len(list(tmp_path.iterdir())) == 2


def test_channels_of_a_single_slice_survive_nifti(tmp_path):
    image = Image(np.arange(24, dtype=np.float32).reshape(2, 1, 3, 4), Spacing((2.5, 0.7, 0.5), "mm"))
    image = Image(
        image.array, image.spacing, geometry=Geometry((1.0, 2.0, 3.0), (1.0, 0, 0, 0, -1.0, 0, 0, 0, -1.0))
    )
    write_volume(tmp_path / "a.nii.gz", image)
    back = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back.array, image.array)
    assert back.geometry == image.geometry


@pytest.mark.parametrize("name", ["my scan (1)", "größe_µm", "50%.v2", "LIST"])
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".nii.gz"])
def test_strange_names_are_written_and_read(tmp_path, name, suffix):
    write_volume(tmp_path / f"{name}{suffix}", volume())
    np.testing.assert_array_equal(read_volume(tmp_path / f"{name}{suffix}").array, volume().array)


def test_a_failed_write_keeps_the_old_pair(tmp_path, monkeypatch):
    path = tmp_path / "scan.mhd"
    write_volume(path, volume(seed=1))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    replace = Path.replace

    def full(self, target):
        if str(target).endswith(".mhd"):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ImageError, match="No space left"):
        write_volume(path, volume(seed=2))
    monkeypatch.undo()
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    np.testing.assert_array_equal(read_volume(path).array, volume(seed=1).array)


def test_masks_are_written_as_bytes_and_odd_types_refused(tmp_path):
    mask = np.zeros((1, 2, 3, 4), bool)
    mask[0, 1, 1] = True
    write_volume(tmp_path / "mask.nii.gz", Image(mask))
    assert read_volume(tmp_path / "mask.nii.gz").array.dtype == np.uint8
    np.testing.assert_array_equal(read_volume(tmp_path / "mask.nii.gz").array, mask)
    with pytest.raises(ImageError, match="float16"):
        write_volume(tmp_path / "half.mha", Image(np.zeros((1, 2, 2, 2), np.float16)))
    with pytest.raises(ImageError, match="allowed are"):
        suffix_of(Path("scan.vtk"))


def header(tmp_path, **changes):
    write_volume(tmp_path / "scan.mhd", volume())
    lines = dict(line.split(" = ") for line in (tmp_path / "scan.mhd").read_text().splitlines())
    lines |= changes
    lines = {key: value for key, value in lines.items() if value is not None}
    data = lines.pop("ElementDataFile")
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    (tmp_path / "scan.mhd").write_text(f"{text}ElementDataFile = {data}\n")
    return tmp_path / "scan.mhd"


def test_a_missing_raw_is_named(tmp_path):
    path = header(tmp_path)
    (tmp_path / "scan.raw").unlink()
    with pytest.raises(ImageError, match=r"scan\.mhd.*scan\.raw.*missing.*120 bytes are expected, 0 found"):
        read_volume(path)


def test_a_short_or_long_raw_is_named_with_its_bytes(tmp_path):
    path = header(tmp_path)
    raw = tmp_path / "scan.raw"
    raw.write_bytes(raw.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"scan\.raw.*120 bytes are expected, but 60 were found"):
        read_volume(path)
    raw.write_bytes(bytes(121))
    with pytest.raises(ImageError, match="120 bytes are expected, but 121"):
        read_volume(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DimSize": "-5 4 3"}, "every size must be 1 or more"),
        ({"DimSize": "0 4 3"}, "every size must be 1 or more"),
        ({"DimSize": "900000 900000 900000"}, "above the limit"),
        ({"DimSize": "99999999999999999999 9 9"}, "above the limit"),
        ({"DimSize": "5 4"}, "NDims = 3"),
        ({"DimSize": "5 four 3"}, "header is damaged"),
        ({"ElementType": "MET_STRING"}, "MET_STRING"),
        ({"ElementSpacing": "1 nan 1"}, "above zero"),
        ({"ElementSpacing": "1 0 1"}, "above zero"),
        ({"ElementDataFile": "/etc/hostname"}, "only a file in the same folder"),
        ({"ElementDataFile": "../scan.raw"}, "only a file in the same folder"),
        ({"ElementDataFile": "LIST"}, "list of files"),
        ({"ElementDataFile": "slice%03d.raw 1 3 1"}, "list of files"),
        ({"BinaryData": "False"}, "as text"),
        ({"ElementNumberOfChannels": "-1"}, "every size"),
        ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "refused"),
        ({"DimSize": None}, "not a MetaImage header"),
    ],
)
def test_bad_headers_are_told(tmp_path, changes, message):
    with pytest.raises(ImageError, match=message):
        read_volume(header(tmp_path, **changes))


def test_a_header_without_spacing_has_unknown_spacing(tmp_path):
    assert read_volume(header(tmp_path, ElementSpacing=None)).spacing.unit == "px"


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr", ".nii"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_files_cut_short_are_errors(tmp_path, suffix, keep):
    path = tmp_path / f"scan{suffix}"
    write_volume(path, volume(shape=(1, 8, 9, 10)), compress=suffix != ".nii")
    (data,) = [file for file in tmp_path.iterdir() if file.suffix not in (".mhd", ".nhdr")]
    data.write_bytes(data.read_bytes()[: int(keep * data.stat().st_size)])
    with pytest.raises(ImageError, match="scan"):
        read_volume(path)


def test_flipped_bytes_in_a_compressed_file_are_errors(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_volume(path, volume(shape=(1, 8, 9, 10)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        read_volume(path)


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path):
    path = tmp_path / "bomb.nii"
    write_volume(path, volume(shape=(1, 2, 2, 2)))
    content = bytearray(path.read_bytes())
    content[40:56] = struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="above the limit"):
        read_volume(path)
    write_volume(tmp_path / "small.mha", volume())
    with pytest.raises(ImageError, match="above the limit of 100"):
        read_volume(tmp_path / "small.mha", limit_bytes=100)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_voxels_are_counted_and_placed(tmp_path, bad):
    image = volume(np.float32)
    image.array[0, 1, 2, 3] = bad
    write_volume(tmp_path / "scan.mha", image)
    with pytest.raises(ImageError, match=r"1 voxel is NaN or infinite, the first at zyx \(1, 2, 3\)"):
        read_image(tmp_path / "scan.mha")
    assert read_volume(tmp_path / "scan.mha", allow_nan=True).array.shape == (1, 3, 4, 5)


def test_strange_content_is_an_image_error(tmp_path):
    for suffix in VOLUME_SUFFIXES:
        for content in (
            b"",
            b"\x00" * 400,
            b"NRRD0004\n",
            b"ObjectType = Image\n",
            b"\x1f\x8b\x08",
            b"\xff" * 900,
        ):
            path = tmp_path / f"strange{suffix}"
            path.write_bytes(content)
            with pytest.raises(ImageError, match="strange"):
                read_volume(path)
    with pytest.raises(ImageError):
        read_volume(tmp_path / "absent.mhd")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".mha", ".nrrd", ".nii", ".nii.gz"]))
def test_a_damaged_byte_is_read_or_told_never_a_crash(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("fuzz") / f"scan{suffix}"
    write_volume(path, volume())
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read_volume(path, limit_bytes=1 << 24).array.size
    except HilumError as error:
        told = str(error)
        assert path.name in told


def test_itk_says_nothing_on_the_terminal(tmp_path):
    write_volume(tmp_path / "a.nrrd", volume())
    header(tmp_path, TransformMatrix="0 0 0 0 0 0 0 0 0")
    code = (
        "import sys; from pathlib import Path; from hilum.errors import ImageError\n"
        "from hilum.image.volume import read_volume\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_volume(Path(name))\n"
        "    except ImageError: pass\n"
    )
    names = [str(tmp_path / name) for name in ("a.nrrd", "scan.mhd")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_a_header_of_another_kind_is_told(tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"NRRD0004\n" + bytes(600))
    with pytest.raises(ImageError, match="not a NIfTI"):
        read_volume(tmp_path / "scan.nii")


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 3, 4, 5), (2, 1, 4, 5), (1, 4, 5)])
def test_unknown_spacing_stays_unknown(tmp_path, suffix, shape):
    path = tmp_path / f"scan{suffix}"
    array = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
    geometry = None if len(shape) == 3 else Geometry((-16.0, 12.0, -34.0), OBLIQUE)
    write_volume(path, Image(array, unknown_spacing(len(shape) - 1), geometry=geometry))
    back = read_volume(path)
    assert back.spacing == probe(path).spacing == unknown_spacing(len(shape) - 1)
    np.testing.assert_array_equal(back.array, array)
    if geometry is not None:
        np.testing.assert_allclose(back.geometry.direction, OBLIQUE, atol=1e-6)
        assert back.geometry.origin == geometry.origin
    write_volume(path, Image(array, Spacing((1.0,) * (len(shape) - 1), "mm")))
    assert read_volume(path).spacing.unit == "mm"


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_spacing_given_later_by_another_program_holds(tmp_path, suffix):
    path = str(tmp_path / f"scan{suffix}")
    write_volume(tmp_path / f"scan{suffix}", Image(volume().array, unknown_spacing(3)))
    itk = SimpleITK.ReadImage(path)
    itk.SetSpacing((0.5, 0.7, 2.5))
    SimpleITK.WriteImage(itk, path)
    assert read_volume(tmp_path / f"scan{suffix}").spacing == Spacing((2.5, 0.7, 0.5), "mm")


@pytest.mark.parametrize(("step", "origin", "unit"), [(1.0, 0.0, "px"), (0.5, 0.0, "mm"), (1.0, -80.0, "mm")])
def test_nifti_without_a_unit_is_in_mm_unless_it_states_neither_size_nor_place(tmp_path, step, origin, unit):
    path = tmp_path / "a.nii"
    itk = SimpleITK.Image(5, 4, 3, SimpleITK.sitkUInt8)
    itk.SetOrigin((origin, 0.0, 0.0))
    itk.SetSpacing((1.0, 1.0, step))
    SimpleITK.WriteImage(itk, str(path))
    head = bytearray(path.read_bytes())
    head[123] = 0
    path.write_bytes(bytes(head))
    assert read_volume(path).spacing == Spacing((step, 1.0, 1.0), unit)


@pytest.mark.parametrize("names", [("m.nii.gz", "m.nii"), ("M.NII.GZ", "M.nii"), ("M.NII.GZ", "M.NII")])
@pytest.mark.parametrize("links", [True, False])
def test_each_of_two_volumes_of_one_stem_is_read(tmp_path, monkeypatch, names, links):
    if not links:
        monkeypatch.setattr(Path, "symlink_to", refuse)
    packed, plain = (tmp_path / name for name in names)
    write_volume(plain, Image(np.full((1, 3, 4, 5), 1, np.uint8)))
    write_volume(packed, Image(np.full((1, 3, 4, 5), 7, np.uint8)))
    assert read_image(plain).array.max() == 1
    assert read_image(packed).array.min() == 7
    assert probe(packed).shape == (3, 4, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def refuse(*args):
    raise OSError("no links here")


_WORLD = "space: left-posterior-superior\nspace directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)"


def _stated(folder, suffix, lines):
    """A volume of 2 x 3 x 4 voxels of which the header says these lines."""
    heads = {
        ".mha": f"ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementSpacing = 2 3 4\nOffset = 10 20 30\n"
        f"{lines}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
        ".nrrd": f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n{lines}\n\n",
    }
    path = folder / f"a{suffix}"
    path.write_bytes(heads[suffix].encode() + bytes(24))
    return path


@pytest.mark.parametrize(
    ("suffix", "lines", "factor"),
    [
        (".mha", "DistanceUnits = mm", 1),
        (".mha", "DistanceUnits = ?", 1),
        (".mha", "DistanceUnits = um", 1e-3),
        (".mha", "DistanceUnits = cm", 10),
        (".nrrd", _WORLD, 1),
        (".nrrd", f'{_WORLD}\nspace units: "mm" "mm" "mm"', 1),
        (".nrrd", f'{_WORLD}\nspace units: "microns" "microns" "microns"', 1e-3),
        (".nrrd", f'{_WORLD}\nspace units: "m" "m" "m"', 1000),
        (".nrrd", 'spacings: 2 3 4\nunits: "µm" "µm" "µm"', 1e-3),
        (".nrrd", 'spacings: 2 3 4\nunits: "millimeter" "millimeter" "millimeter"', 1),
    ],
)
def test_the_unit_of_a_header_is_heard(tmp_path, suffix, lines, factor):
    path = _stated(tmp_path, suffix, lines)
    image, header = read_volume(path), probe(path)
    assert image.spacing.sizes == pytest.approx([4 * factor, 3 * factor, 2 * factor])
    origin = [0, 0, 0] if "spacings" in lines else [10 * factor, 20 * factor, 30 * factor]
    assert image.geometry.origin == pytest.approx(origin)
    assert (header.spacing, header.geometry) == (image.spacing, image.geometry)


@pytest.mark.parametrize(
    ("suffix", "lines"),
    [
        (".mha", "DistanceUnits = inch"),
        (".nrrd", f'{_WORLD}\nspace units: "inch" "inch" "inch"'),
        (".nrrd", 'spacings: 2 3 4\nunits: "mm" "mm" "inch"'),
    ],
)
def test_a_unit_that_is_not_known_is_refused_by_name(tmp_path, suffix, lines):
    with pytest.raises(ImageError, match="'inch'"):
        read_volume(_stated(tmp_path, suffix, lines))
