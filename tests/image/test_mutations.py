"""Damaged files: every outcome is an image or a HilumError, quickly and without much memory."""

import io
import time

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.readers import probe, read_image

MUTANTS = 150
rng = np.random.default_rng(7)
GREY = rng.integers(0, 255, (24, 33), dtype=np.uint8)
COLOUR = rng.integers(0, 255, (24, 33, 3), dtype=np.uint8)
STACK = rng.integers(0, 60_000, (3, 20, 21), dtype=np.uint16)


def saved(picture, kind, **options):
    handle = io.BytesIO()
    picture.save(handle, kind, **options)
    return handle.getvalue()


def tiff(array, **options):
    handle = io.BytesIO()
    tifffile.imwrite(handle, array, **options)
    return handle.getvalue()


def npy(array):
    handle = io.BytesIO()
    np.save(handle, array)
    return handle.getvalue()


def npz(save, **arrays):
    handle = io.BytesIO()
    save(handle, **arrays)
    return handle.getvalue()


def turned_exif():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return exif


def deep_png():
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.moveaxis(STACK, 0, -1).copy()))


FRAMES = [Pillow.fromarray(np.roll(GREY, at)) for at in range(3)]
SEEDS = {
    "grey.png": saved(Pillow.fromarray(GREY), "PNG", dpi=(20_000, 20_000)),
    "palette.png": saved(Pillow.fromarray(COLOUR).quantize(16), "PNG"),
    "deep.png": saved(Pillow.fromarray(STACK[0]), "PNG"),
    "deep_colour.png": deep_png(),
    "colour.jpg": saved(Pillow.fromarray(COLOUR), "JPEG", dpi=(300, 300), exif=turned_exif()),
    "progressive.jpg": saved(Pillow.fromarray(COLOUR), "JPEG", progressive=True),
    "cmyk.jpg": saved(Pillow.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "colour.bmp": saved(Pillow.fromarray(COLOUR), "BMP"),
    "palette.bmp": saved(Pillow.fromarray(GREY), "BMP"),
    "frames.gif": saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "plain.tif": tiff(COLOUR, photometric="rgb"),
    "stack.tif": tiff(STACK, compression="zlib"),
    "lzw.tif": tiff(GREY, compression="lzw", predictor=True),
    "jpeg.tif": tiff(COLOUR, compression="jpeg", photometric="ycbcr", subsampling=(2, 2)),
    "tiles.tif": tiff(COLOUR, tile=(16, 16), compression="zstd", bigtiff=True, photometric="rgb"),
    "ome.tif": tiff(STACK, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}),
    "imagej.tif": tiff(STACK, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2.0}),
    "bits.tif": saved(Pillow.fromarray(GREY > 99), "TIFF", compression="group4"),
    "packbits.tif": saved(Pillow.fromarray(COLOUR).quantize(16), "TIFF", compression="packbits"),
    "stack.npy": npy(STACK),
    "bool.npy": npy(GREY > 99),
    "stored.npz": npz(np.savez, image=GREY),
    "packed.npz": npz(np.savez_compressed, image=STACK, other=GREY),
}


def mutant(seed, generator):
    """The seed cut short, with flipped bits, with an extreme number in it, or with a part doubled."""
    content = bytearray(seed)
    at = int(generator.integers(len(content)))
    early = int(generator.integers(min(len(content), 200)))
    match generator.integers(5):
        case 0:
            return bytes(content[:at])
        case 1:
            for place in generator.integers(len(content), size=generator.integers(1, 6)):
                content[place] ^= 1 << int(generator.integers(8))
        case 2:
            extremes = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 8]
            number = extremes[generator.integers(5)]
            content[early : early + len(number)] = number
        case 3:
            content[early] ^= 1 << int(generator.integers(8))
        case _:
            content[at:at] = content[early : early + int(generator.integers(1, 64))]
    return bytes(content)


def outcome(path, entry=None, index=None):
    """The type of what reading and probing a file end in; other errors than HilumError pass through."""
    found, told = [], []
    for verb in (read_image, probe):
        try:
            found.append(type(verb(path, entry, index)))
        except HilumError as error:
            found.append(type(error))
            told.append(str(error))
    assert all(str(path) in message and "\n" not in message for message in told)
    return found


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_images_or_hilum_errors(name, tmp_path):
    generator = np.random.default_rng(list(name.encode()))
    path = tmp_path / name
    path.write_bytes(SEEDS[name])
    entry = "image" if name == "packed.npz" else None
    assert outcome(path, entry)[0] is Image
    for number in range(MUTANTS):
        path.write_bytes(mutant(SEEDS[name], generator))
        start = time.process_time()
        outcome(path, entry, index=None if number % 3 else 1)
        assert time.process_time() - start < 5
