"""Small whole files of every kind that Hilum takes in, and what the fuzzer does with them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

rng = np.random.default_rng(7)
GREY = rng.integers(0, 255, (24, 33), dtype=np.uint8)
COLOUR = rng.integers(0, 255, (24, 33, 3), dtype=np.uint8)
STACK = rng.integers(0, 60_000, (3, 20, 21), dtype=np.uint16)
VOLUME = rng.integers(-1000, 500, (4, 5, 6), dtype=np.int16)
MASK = np.where(GREY > 128, np.uint8(255), np.uint8(0))
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
RUNS = "3 4 10 2 40 7 60 1 61 5 99 20"
MARKS = "seriesuid,coordX,coordY,coordZ,diameter_mm\na,1.5,-2.25,3,4.5\nb,0,0,0,12\n"
LIDC = """<?xml version="1.0"?><LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>
<SeriesInstanceUid>1.2.3</SeriesInstanceUid></ResponseHeader><readingSession><unblindedReadNodule>
<noduleID>n1</noduleID><roi><imageZposition>-120.5</imageZposition><inclusion>TRUE</inclusion>
<edgeMap><xCoord>3</xCoord><yCoord>4</yCoord></edgeMap><edgeMap><xCoord>7</xCoord><yCoord>4</yCoord></edgeMap>
<edgeMap><xCoord>7</xCoord><yCoord>9</yCoord></edgeMap><edgeMap><xCoord>3</xCoord><yCoord>9</yCoord></edgeMap>
</roi></unblindedReadNodule></readingSession></LidcReadMessage>"""


def saved(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    handle = io.BytesIO()
    picture.save(handle, kind, **options)
    return handle.getvalue()


def tiff(array: Any, **options: Any) -> bytes:
    import tifffile

    handle = io.BytesIO()
    tifffile.imwrite(handle, array, **options)
    return handle.getvalue()


def png_files() -> dict[str, bytes]:
    import imagecodecs

    return {
        "grey.png": saved(Pillow.fromarray(GREY), "PNG", dpi=(20_000, 20_000)),
        "palette.png": saved(Pillow.fromarray(COLOUR).quantize(16), "PNG"),
        "deep.png": saved(Pillow.fromarray(STACK[0]), "PNG"),
        "deep_colour.png": bytes(imagecodecs.png_encode(np.moveaxis(STACK, 0, -1).copy())),
    }


def jpeg_files() -> dict[str, bytes]:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return {
        "colour.jpg": saved(Pillow.fromarray(COLOUR), "JPEG", dpi=(300, 300), exif=exif),
        "progressive.jpg": saved(Pillow.fromarray(COLOUR), "JPEG", progressive=True),
        "cmyk.jpg": saved(Pillow.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    }


def bmp_files() -> dict[str, bytes]:
    return {
        "colour.bmp": saved(Pillow.fromarray(COLOUR), "BMP"),
        "palette.bmp": saved(Pillow.fromarray(GREY), "BMP"),
    }


def gif_files() -> dict[str, bytes]:
    frames = [Pillow.fromarray(np.roll(GREY, at)) for at in range(3)]
    return {"frames.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:])}


def tiff_files() -> dict[str, bytes]:
    ome = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    return {
        "plain.tif": tiff(COLOUR, photometric="rgb"),
        "stack.tif": tiff(STACK, compression="zlib"),
        "lzw.tif": tiff(GREY, compression="lzw", predictor=True),
        "jpeg.tif": tiff(COLOUR, compression="jpeg", photometric="ycbcr", subsampling=(2, 2)),
        "tiles.tif": tiff(COLOUR, tile=(16, 16), compression="zstd", bigtiff=True, photometric="rgb"),
        "ome.tif": tiff(STACK, ome=True, metadata=ome),
        "imagej.tif": tiff(STACK, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2.0}),
        "bits.tif": saved(Pillow.fromarray(GREY > 99), "TIFF", compression="group4"),
        "packbits.tif": saved(Pillow.fromarray(COLOUR).quantize(16), "TIFF", compression="packbits"),
    }


def array_files() -> dict[str, bytes]:
    handle = io.BytesIO()
    np.save(handle, STACK)
    return {"stack.npy": handle.getvalue()}


def archive_files() -> dict[str, bytes]:
    stored, packed = io.BytesIO(), io.BytesIO()
    np.savez(stored, image=GREY)
    np.savez_compressed(packed, image=STACK)
    return {"stored.npz": stored.getvalue(), "packed.npz": packed.getvalue()}


def dicom_slice(z: float, rle: bool = False) -> bytes:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

    one = pydicom.Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID = CTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{100 + round(z)}"
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, one.file_meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.Modality, one.SeriesDescription = "1.2.3.4", "CT", "chest"
    one.Rows, one.Columns, one.PixelSpacing, one.SliceThickness = 6, 8, [0.7, 0.5], 2.5
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-50, -50, z]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    pixels = (np.arange(48, dtype=np.int16) + round(z)).reshape(6, 8)
    one.PixelData = pixels.tobytes()
    if rle:
        one.compress(RLELossless, pixels)
    content = io.BytesIO()
    one.save_as(content, enforce_file_format=True)
    return content.getvalue()


def dicom_files() -> dict[str, bytes]:
    return {"plain.dcm": dicom_slice(0.0), "runs.dcm": dicom_slice(2.5, rle=True)}


def dicom_zips() -> dict[str, bytes]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", dicom_slice(2.5 * number))
    return {"scan.zip": content.getvalue()}


Make = Callable[[Path], list[Path]]
Attempt = Callable[[Path], Any]


def laid_out(files: Callable[[], dict[str, bytes]]) -> Make:
    def make(folder: Path) -> list[Path]:
        paths = []
        for name, content in files().items():
            (folder / name).write_bytes(content)
            paths.append(folder / name)
        return paths

    return make


def volumes(*suffixes: str) -> Make:
    """Volumes in these formats; of those with detached pixels both files are damaged, in turn."""

    def make(folder: Path) -> list[Path]:
        from hilum.image.image import Geometry, Image
        from hilum.image.spacing import Spacing
        from hilum.image.volume import write_volume

        image = Image(
            VOLUME[None], Spacing((2.5, 0.7, 0.7), "mm"), geometry=Geometry((-10.0, 5.0, 2.0), STRAIGHT)
        )
        for number, suffix in enumerate(suffixes):
            write_volume(
                folder / f"scan{number}{suffix}", image, compress=suffix == ".nii.gz" or number % 2 == 1
            )
        return sorted(path for path in folder.iterdir() if path.is_file())

    return make


def read_picture(path: Path) -> Any:
    """Pixels of an image; of a detached data file, of the header beside it."""
    from hilum.image.readers import probe, read_image

    headers = [path] if path.suffix not in (".raw", ".zraw", ".gz") or path.name.endswith(".nii.gz") else []
    headers = headers or [
        header
        for header in path.parent.iterdir()
        if header.suffix in (".mhd", ".nhdr") and header.stem == path.name.partition(".")[0]
    ]
    probe(headers[0])
    return read_image(headers[0]).array


def folder_of_slices(folder: Path) -> list[Path]:
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(dicom_slice(2.5 * number))
    return sorted(folder.iterdir())


def read_folder(path: Path) -> Any:
    from hilum.image.readers import read_image

    return read_image(path.parent).array


def run_length_text(folder: Path) -> list[Path]:
    (folder / "runs.txt").write_text(RUNS)
    return [folder / "runs.txt"]


def decode_runs(path: Path) -> Any:
    """The mask, checked against one painted pixel by pixel."""
    from hilum.image.runlength import decode

    text = path.read_bytes().decode("latin-1")
    mask = decode(text, (12, 10))
    slow = np.zeros(120, bool)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        slow[start - 1 : start - 1 + length] = True
    if not np.array_equal(slow.reshape((12, 10), order="F"), mask):
        raise AssertionError("another mask than painted pixel by pixel")
    return mask


def plan_files(folder: Path) -> list[Path]:
    from hilum.planning.document import to_yaml
    from hilum.planning.plan import Plan

    plan = Plan(reasons={"training.batch": "fits"})
    plan.data.outputs = ["nerve", "vessel"]
    (folder / "plan.yaml").write_text(to_yaml(plan))
    return [folder / "plan.yaml"]


def read_plan_file(path: Path) -> Any:
    from hilum.planning.document import read_plan

    return read_plan(path).model_dump()


def run_files(folder: Path) -> list[Path]:
    """A tiny run, not trained: its files are what a stranger could hand over."""
    import torch

    from hilum.planning.plan import DataPlan, ModelPlan, Plan
    from hilum.study.splits import Fold, Splits
    from hilum.study.study import Case, Encoding, MaskSource, Source, Study
    from hilum.training.run import make_network, save_fold, start_run
    from hilum.training.state import History

    cases = tuple(
        Case(
            f"case {number}",
            Source(folder / f"{number}.png"),
            masks={"nerve": MaskSource((Source(folder / f"m{number}.png"),), Encoding("threshold", 127.0))},
            group=str(number),
        )
        for number in range(3)
    )
    study = Study(folder, "pairs", cases, ("nerve",), grouping="by hand")
    plan = Plan(
        data=DataPlan(channels=1, outputs=["nerve"]),
        model=ModelPlan(settings={"width": 2, "depth": 1, "stem": 1}),
    )
    splits = Splits("group", (Fold(("case 0", "case 1"), ("case 2",)), Fold(("case 2",), ("case 0",))), "so")
    run = start_run(folder / "run", plan, study, splits, {"started": "now"})
    torch.manual_seed(0)
    save_fold(run, 0, make_network(plan), History().with_row({"step": 1, "loss": 0.5}))
    return sorted(path for path in run.folder.rglob("*") if path.is_file())


def read_run(path: Path) -> Any:
    """All that `open_run` and the verbs behind it read before they work."""
    from hilum.training.run import load_network, open_run

    folder = path.parent.parent if path.parent.name.startswith("fold-") else path.parent
    run = open_run(folder)
    network = load_network(run, 0)
    weights = [float(value.double().abs().sum()) for value in network.state_dict().values()]
    manifest = {key: value for key, value in run.manifest.items() if key != "written"}
    return (run.plan.model_dump(), run.study, run.splits, manifest, weights, run.history(0))


def table_study(folder: Path) -> list[Path]:
    for number in range(4):
        Pillow.fromarray(np.roll(COLOUR, number, 0)).save(folder / f"{number}.png")
        Pillow.fromarray(np.roll(MASK, number, 0)).save(folder / f"m{number}.png")
    rows = [f"{n}.png,m{n}.png,g{n},{'train' if n else 'test'},0.5um" for n in range(4)]
    (folder / "study.csv").write_text("\n".join(["image,nerve,group,split,spacing", *rows]) + "\n")
    return [folder / "study.csv"]


def open_folder(path: Path) -> Any:
    from hilum.study.open import open_study
    from hilum.study.record import study_from_json, study_to_json

    study = open_study(path.parent)
    again = study_from_json(json.loads(json.dumps(study_to_json(study))))
    if [case.name for case in again.cases] != [case.name for case in study.cases]:
        raise AssertionError("a study that does not come back from its record")
    return again.cases


def marked_volumes(folder: Path) -> list[Path]:
    from hilum.image.image import Geometry, Image
    from hilum.image.spacing import Spacing
    from hilum.image.volume import write_volume

    image = Image(VOLUME[None], Spacing((2.0, 1.0, 1.0), "mm"), geometry=Geometry((0.0, -5.0, 0.0), STRAIGHT))
    for name in "ab":
        write_volume(folder / f"{name}.mha", image)
    (folder / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\na,1.5,-2.25,3,4.5\n")
    return [folder / "annotations.csv", folder / "a.mha"]


def nnunet_study(folder: Path) -> list[Path]:
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    for number in range(3):
        Pillow.fromarray(np.roll(GREY, number, 0)).save(folder / "imagesTr" / f"case_{number:03d}_0000.png")
        label = (np.roll(GREY, number, 0) > 128).astype(np.uint8)
        Pillow.fromarray(label).save(folder / "labelsTr" / f"case_{number:03d}.png")
    content = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "nerve": 1},
        "numTraining": 3,
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return [folder / "dataset.json"]


def medmnist_archive(folder: Path) -> list[Path]:
    arrays: dict[str, Any] = {}
    for split, count in (("train", 9), ("val", 4), ("test", 4)):
        arrays[f"{split}_images"] = rng.integers(0, 255, (count, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    np.savez_compressed(folder / "tiny.npz", **arrays)
    return [folder / "tiny.npz"]


def paired_study(folder: Path) -> list[Path]:
    """A folder of pairs in which images and masks are damaged in turn."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(3):
        Pillow.fromarray(np.roll(COLOUR, number, 0)).save(folder / "images" / f"{number}.png")
        Pillow.fromarray(np.roll(MASK, number, 0)).save(folder / "masks" / f"{number}.png")
    return [folder / "images" / "1.png", folder / "masks" / "2.png"]


def open_pairs(path: Path) -> Any:
    return open_folder(path.parent)


def submission_file(folder: Path) -> list[Path]:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([["img", "pixels"], [1, "1 3 10 5"], [2, ""], [3, "7 1"]])
    (folder / "submission.csv").write_text(table.getvalue())
    return [folder / "submission.csv"]


def read_submission_file(path: Path) -> Any:
    from hilum.exchange.kaggle_rle import read_submission
    from hilum.image.runlength import decode

    return {name: int(decode(runs, (12, 10)).sum()) for name, runs in read_submission(path).items()}


def text_file(name: str, text: str) -> Make:
    def make(folder: Path) -> list[Path]:
        (folder / name).write_text(text)
        return [folder / name]

    return make


def read_marks_file(path: Path) -> Any:
    from hilum.ct.tables import read_marks

    return read_marks(path)


def read_lidc_file(path: Path) -> Any:
    from hilum.ct.lidc import parse_reading

    return parse_reading(path)


def state_file(folder: Path) -> list[Path]:
    from hilum.training.state import History, TrainingState, save_state

    network, average, optimiser = _trained()
    state = TrainingState(step=3, history=History().with_row({"step": 3, "loss": 0.5}), losses=(0.25,))
    save_state(folder / "state.safetensors", network, average, optimiser, state)
    return [folder / "state.safetensors"]


def read_state_file(path: Path) -> Any:
    from hilum.training.state import load_state

    network, average, optimiser = _trained()
    state = load_state(path, network, average, optimiser)
    return state.step, state.history, [value.tolist() for value in network.state_dict().values()]


def _trained() -> tuple[Any, Any, Any]:
    import torch

    torch.manual_seed(0)
    network, average = torch.nn.Conv2d(1, 2, 3), torch.nn.Conv2d(1, 2, 3)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 1, 4, 4)).sum().backward()
    optimiser.step()
    return network, average, optimiser


NAMES = (
    "images", "masks", "Original_0.2", "labels", "imagesTr", "labelsTr", "train", "test", "normal", "sick",
    "1.png", "1_mask.png", "2.png", "2_mask.tif", "a\nb.png", "<script>.png", "肺.png", "x" * 251 + ".png",
    "..png", "-rf.png", "=1+1.png", "study.csv", "dataset.json", "annotations.csv", "a b.png", ".hidden.png",
    "scan.nii", "CON.png", "naïve.png", "\u202egnp.png", "1_0000.png", "classes.txt",
)  # fmt: skip


def tree_script(folder: Path) -> list[Path]:
    """The bytes that a whole folder is grown from: damaged bytes grow another folder."""
    images = (0, 0, 1, 6, 10, 1, 6, 12, 1, 6, 16, 1, 6, 24, 0)
    masks = (0, 1, 1, 4, 10, 1, 4, 12, 1, 4, 16, 1, 4, 24, 0)
    (folder / "script").write_bytes(bytes(images + masks))
    return [folder / "script"]


def open_grown_folder(path: Path) -> Any:
    """Grow a folder of odd names, whole and damaged files, links and loops from bytes, and open it."""
    from hilum.study.open import open_study

    root = path.parent / "grown"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    script = path.read_bytes()[:200]
    place = root
    for at in range(0, len(script) - 2, 3):
        what, name, value = script[at : at + 3]
        place = _grow(root, place, what, NAMES[name % len(NAMES)], value)
    try:
        return open_study(root, skip_bad=bool(script and script[0] % 2)).cases
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _grow(root: Path, place: Path, what: int, name: str, value: int) -> Path:
    new = place / name
    if len(str(new)) > 3000 or new.exists() or new.is_symlink():
        return root
    match what % 8:
        case 0:
            new = place / name.removesuffix(".png")
            new.mkdir(exist_ok=True)
            return new
        case 1:
            new.symlink_to(root if value % 2 else new)
        case 2:
            new.write_bytes(b"" if value % 2 else b"\x89PNG\r\n\x1a\nrubbish")
        case 3:
            new.write_text("image,label\n1.png,a\n../x.png,b\n" if value % 2 else '{"labels": [[[]]]}')
        case 4 | 5:
            new.write_bytes(saved(Pillow.fromarray(np.roll(MASK, value, 0)), "PNG"))
        case _:
            new.write_bytes(saved(Pillow.fromarray(np.roll(COLOUR, value, 0)), "PNG"))
    return place if value % 3 else root


TARGETS: dict[str, tuple[Make, Attempt] | tuple[Make, Attempt, bool]] = {
    "png": (laid_out(png_files), read_picture),
    "jpeg": (laid_out(jpeg_files), read_picture),
    "bmp": (laid_out(bmp_files), read_picture),
    "gif": (laid_out(gif_files), read_picture),
    "tiff": (laid_out(tiff_files), read_picture),
    "npy": (laid_out(array_files), read_picture),
    "npz": (laid_out(archive_files), read_picture),
    "nifti": (volumes(".nii", ".nii.gz"), read_picture),
    "metaimage": (volumes(".mha", ".mha", ".mhd", ".mhd"), read_picture),
    "nrrd": (volumes(".nrrd", ".nrrd", ".nhdr", ".nhdr"), read_picture),
    "dicom": (laid_out(dicom_files), read_picture),
    "dicom-zip": (laid_out(dicom_zips), read_picture),
    "dicom-folder": (folder_of_slices, read_folder),
    "run-lengths": (run_length_text, decode_runs, False),
    "plan": (plan_files, read_plan_file, False),
    "run": (run_files, read_run, False),
    "state": (state_file, read_state_file),
    "layout-tree": (tree_script, open_grown_folder, False),
    "layout-pairs": (paired_study, open_pairs),
    "layout-table": (table_study, open_folder, False),
    "layout-marks": (marked_volumes, open_folder, False),
    "layout-nnunet": (nnunet_study, open_folder, False),
    "layout-medmnist": (medmnist_archive, open_folder),
    "submission": (submission_file, read_submission_file, False),
    "marks": (text_file("marks.csv", MARKS), read_marks_file, False),
    "lidc": (text_file("lidc.xml", LIDC), read_lidc_file),
}
