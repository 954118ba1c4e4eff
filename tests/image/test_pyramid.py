import numpy as np
import pytest
import tifffile

from hilum.errors import ImageError
from hilum.image.pyramid import can_window, is_huge, is_zarr, make_levels, open_pyramid, zarr_folders
from hilum.image.readers import probe, read_image
from hilum.image.spacing import Spacing

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (377, 433, 3), dtype=np.uint8)
PLANES = np.moveaxis(COLOUR, -1, 0)


def check(path, expected, count=12):
    """Random windows equal the same parts of the whole image."""
    rng = np.random.default_rng(1)
    with open_pyramid(path) as pyramid:
        assert (pyramid.channels, *pyramid.shape) == expected.shape
        for _ in range(count):
            y, x = (int(rng.integers(size)) for size in pyramid.shape)
            h, w = (
                int(rng.integers(1, size - at + 1)) for size, at in zip(pyramid.shape, (y, x), strict=True)
            )
            assert (pyramid.read_window(y, x, h, w) == expected[:, y : y + h, x : x + w]).all()


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (COLOUR, {"tile": (128, 64), "compression": "zlib", "predictor": True}),
        (COLOUR, {}),
        (COLOUR, {"compression": "lzw", "rowsperstrip": 50, "bigtiff": True, "byteorder": ">"}),
        (COLOUR, {"byteorder": ">"}),
        (PLANES, {"planarconfig": "separate", "photometric": "rgb", "tile": (64, 64)}),
        (PLANES, {"planarconfig": "separate", "photometric": "rgb"}),
        (PLANES.astype("u2"), {"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}}),
        (COLOUR[..., 0].astype("f4"), {"tile": (64, 64)}),
    ],
    ids=["tiles", "one-strip", "strips", "big-endian", "planar-tiles", "planar-strips", "pages", "floats"],
)
def test_windows_of_tiff_files_equal_the_whole(tmp_path, array, options):
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    check(
        tmp_path / "a.tif", np.moveaxis(array, -1, 0) if array.shape[-1] == 3 else array.reshape(-1, 377, 433)
    )


def test_one_bit_becomes_0_and_255(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", COLOUR[..., 0] > 127, photometric="minisblack")
    check(tmp_path / "a.tif", (PLANES[:1] > 127) * np.uint8(255))


def test_one_bit_as_tifffile_writes_it_unasked_is_not_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", COLOUR[..., 0] > 127)
    with open_pyramid(tmp_path / "a.tif") as pyramid:
        assert (pyramid.read_window(0, 0, *pyramid.shape) == (PLANES[:1] > 127) * np.uint8(255)).all()


def pyramid_file(path, levels=(1, 2, 4)):
    with tifffile.TiffWriter(path, ome=True) as tif:
        for at, step in enumerate(levels):
            more = (
                {"subfiletype": 1}
                if at
                else {
                    "subifds": len(levels) - 1,
                    "metadata": {
                        "axes": "YXS",
                        "PhysicalSizeX": 0.5,
                        "PhysicalSizeY": 0.5,
                        "PhysicalSizeXUnit": "µm",
                        "PhysicalSizeYUnit": "µm",
                    },
                }
            )
            tif.write(COLOUR[::step, ::step], tile=(64, 64), compression="zlib", photometric="rgb", **more)
    return path


def test_levels_and_spacing_of_an_ome_tiff(tmp_path):
    path = pyramid_file(tmp_path / "a.ome.tif")
    with open_pyramid(path) as pyramid:
        assert [level.shape for level in pyramid.levels] == [(377, 433), (189, 217), (95, 109)]
        assert pyramid.spacing == Spacing((0.5, 0.5), "um")
        assert (pyramid.read_window(10, 20, 30, 40, level=1) == PLANES[:, 20:80:2, 40:120:2]).all()
        assert [pyramid.level_for(factor) for factor in (1, 1.9, 2, 3, 4, 100)] == [0, 0, 1, 1, 2, 2]


def svs_file(path, mpp="0.5"):
    with tifffile.TiffWriter(path) as tif:
        first = f"Aperio Image Library v1\r\n433x377 (64x64) JPEG|AppMag = 20|MPP = {mpp}|Left = 25.6"
        tif.write(
            COLOUR, tile=(64, 64), compression="zlib", photometric="rgb", description=first, metadata=None
        )
        tif.write(COLOUR[::8, ::8], description="Aperio thumbnail", metadata=None, photometric="rgb")
        tif.write(
            COLOUR[::4, ::4],
            tile=(64, 64),
            compression="zlib",
            photometric="rgb",
            description=first,
            metadata=None,
        )
    return path


def test_an_svs_like_pyramid(tmp_path):
    path = svs_file(tmp_path / "a.svs")
    check(path, PLANES)
    with open_pyramid(path) as pyramid:
        assert [round(level.factor) for level in pyramid.levels] == [1, 4]
        assert pyramid.spacing == Spacing((0.5, 0.5), "um")
    assert read_image(path).spacing == probe(path).spacing == Spacing((0.5, 0.5), "um")


@pytest.mark.parametrize("mpp", ["", "0", "0.5.1", "1e999", "unknown"])
def test_an_svs_that_states_no_pixel_size(tmp_path, mpp):
    assert not read_image(svs_file(tmp_path / "a.svs", mpp)).spacing.known


def test_levels_of_odd_shapes_are_left_out():
    found = make_levels([(1000, 2000), (500, 1000), (90, 90), (125, 250)])
    assert [level.shape for level in found] == [(1000, 2000), (500, 1000), (125, 250)]


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((0, 0, 378, 1, 0), "rows 0 to 378"),
        ((0, 430, 1, 5, 0), "columns 430 to 435"),
        ((-1, 0, 1, 1, 0), "lie outside"),
        ((0, 0, 0, 1, 0), "lie outside"),
        ((0, 0, 1, 1, 3), "levels 0 to 2, not 3"),
    ],
)
def test_windows_outside_are_refused(tmp_path, window, message):
    with (
        open_pyramid(pyramid_file(tmp_path / "a.ome.tif")) as pyramid,
        pytest.raises(ImageError, match=message),
    ):
        pyramid.read_window(*window)


def test_what_cannot_be_read_by_windows_is_refused_by_name(tmp_path, monkeypatch):
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(
        stack, RNG.integers(0, 255, (4, 40, 50), dtype=np.uint8), ome=True, metadata={"axes": "ZYX"}
    )
    with pytest.raises(ImageError, match=r"stack\.tif: is a stack with axes ZYX"):
        open_pyramid(stack)
    palette = tmp_path / "palette.tif"
    tifffile.imwrite(palette, COLOUR[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with pytest.raises(ImageError, match="a palette"):
        open_pyramid(palette)
    with pytest.raises(ImageError, match="only TIFF"):
        open_pyramid(tmp_path / "a.png")
    monkeypatch.setattr("hilum.image.tiff_windows.SEGMENT_BYTES", 1000)
    large = tmp_path / "large.tif"
    tifffile.imwrite(large, COLOUR, compression="zlib", rowsperstrip=377)
    with pytest.raises(ImageError, match="save it as a TIFF with tiles"):
        open_pyramid(large)


def test_a_file_cut_short_is_told(tmp_path):
    path = pyramid_file(tmp_path / "a.ome.tif")
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ImageError, match=r"cut\.tif"):
        open_pyramid(tmp_path / "cut.tif")
    assert not is_huge(tmp_path / "cut.tif")


def zarr_image(path, version, axes="cyx", array=PLANES):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    sets = []
    for level in range(2):
        part = array[..., :: 2**level, :: 2**level]
        made = group.create_array(
            str(level), shape=part.shape, chunks=(1,) * (part.ndim - 2) + (64, 64), dtype=part.dtype
        )
        made[...] = part
        scale = [1.0] * (part.ndim - 2) + [0.25 * 2**level] * 2
        sets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    names = [{"name": name, **({"unit": "micrometer"} if name in "yx" else {})} for name in axes]
    found = [{"version": version, "axes": names, "datasets": sets}]
    group.attrs.update(
        {"multiscales": found} if version == "0.4" else {"ome": {"version": version, "multiscales": found}}
    )
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    path = zarr_image(tmp_path / "a.ome.zarr", version)
    check(path, PLANES)
    with open_pyramid(path) as pyramid:
        assert pyramid.spacing == Spacing((0.25, 0.25), "um")
        assert [level.shape for level in pyramid.levels] == [(377, 433), (189, 217)]
    assert is_zarr(path)
    assert can_window(path)
    assert zarr_folders(tmp_path) == [path]


def test_ome_zarr_of_planes_to_choose_from_is_refused(tmp_path):
    zarr_image(tmp_path / "one.zarr", "0.4", "zcyx", PLANES[None])
    check(tmp_path / "one.zarr", PLANES)
    zarr_image(tmp_path / "many.zarr", "0.4", "zcyx", np.stack([PLANES, PLANES]))
    with pytest.raises(ImageError, match="is a stack with axes zcyx"):
        open_pyramid(tmp_path / "many.zarr")


def test_a_zarr_folder_that_is_no_image_or_leads_out_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "plain.zarr"), mode="w")
    with pytest.raises(ImageError, match="without a multiscale image"):
        open_pyramid(tmp_path / "plain.zarr")
    path = zarr_image(tmp_path / "a.zarr", "0.4")
    group = zarr.open_group(str(path), mode="r+")
    content = group.attrs["multiscales"]
    content[0]["datasets"][0]["path"] = "../plain.zarr"
    group.attrs["multiscales"] = content
    with pytest.raises(ImageError, match="outside of it"):
        open_pyramid(path)


def test_huge_is_a_matter_of_size_and_kind(tmp_path, monkeypatch):
    path = pyramid_file(tmp_path / "a.ome.tif")
    assert not is_huge(path)
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1000)
    assert is_huge(path)
    assert not is_huge(tmp_path / "missing.tif")
    assert not is_huge(tmp_path / "a.png")


def test_windows_of_one_transparent_picture_have_the_same_channels(tmp_path):
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[:32, :, 3] = 0
    picture[40:50, 40:50, :3] = 7
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16)
    )
    check(tmp_path / "a.tif", np.moveaxis(picture[..., :3], -1, 0))


def test_a_mask_of_imagej_keeps_its_values_in_windows(tmp_path):
    values = PLANES[0] // 128 * np.uint8(255)
    tifffile.imwrite(tmp_path / "a.tif", values, imagej=True, photometric="miniswhite")
    with open_pyramid(tmp_path / "a.tif", mask=True) as pyramid:
        assert (pyramid.read_window(0, 0, *pyramid.shape)[0] == values).all()
        assert not pyramid.notes
    with open_pyramid(tmp_path / "a.tif") as pyramid:
        assert (pyramid.read_window(0, 0, *pyramid.shape)[0] == 255 - values).all()
        assert any("inverted" in note for note in pyramid.notes)
