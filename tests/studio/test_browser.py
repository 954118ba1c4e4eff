"""The studio as a person uses it, in a real browser; screenshots stay in the test's folder for looking at."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
PATIENCE_MS = 60_000
TARGET = "SevereInflammation"


@contextlib.contextmanager
def studio(folder, runs, *more):
    """The studio in its own process, as the command line starts it: yields its address."""
    command = [sys.executable, "-c", "from hilum.cli import main; main()", "studio", str(folder)]
    options = ["--no-browser", "--runs", str(runs), *more]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    try:
        lines = iter(process.stdout.readline, "")
        address = next((m[0] for line in lines if (m := re.search(r"http://\S+token=\S+", line))), None)
        assert address, "the studio did not start"
        yield Opened(address, process)
    finally:
        process.terminate()
        process.wait(timeout=180)


class Opened:
    """A studio that runs."""

    def __init__(self, address, process):
        self.address, self.process = address, process
        self.base = address.partition("?")[0]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    return tmp_path_factory.mktemp("studio-screenshots")


@contextlib.contextmanager
def page_of(browser, opened, path="", **options):
    """A page of the studio; errors in its scripts fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong, outside = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: None if _is_own(r.url, opened) else outside.append(r.url))
    page.goto(opened.address)
    if path:
        page.goto(opened.base + path)
    yield page
    context.close()
    assert not wrong
    assert not outside, "nothing may be loaded from elsewhere"


def _is_own(url, opened):
    return url.startswith((opened.base, opened.base.replace("http", "ws"), "data:", "blob:"))


def canvas(page):
    """The canvas once its image and masks are there, with its box on the page."""
    page.wait_for_function(
        "window.hilumViewer?.info && hilumViewer.bitmaps.size && hilumViewer.masks.size >= 1"
    )
    return page.locator("canvas.stage").bounding_box()


def to_page(page, box, x, y):
    """Where a pixel of the image is on the page."""
    view = page.evaluate("({...hilumViewer.view, ratio: hilumViewer.ratio, stretch: hilumViewer.stretch})")
    scale = view["scale"] / view["ratio"]
    return (
        box["x"] + view["x"] / view["ratio"] + x * scale,
        box["y"] + view["y"] / view["ratio"] + y * scale * view["stretch"],
    )


def kept(page):
    """Wait until every stroke is on the server's disk."""
    page.wait_for_function("!hilumViewer.queue.length && !hilumViewer.working")


@pytest.fixture(scope="module")
def painted_study(phantom_study, phantom_run, tmp_path_factory):
    """A copy of the phantom study with its run as the first round."""
    folder = tmp_path_factory.mktemp("painted")
    shutil.copytree(phantom_study, folder / "study")
    shutil.copytree(phantom_run.folder, folder / "runs" / "round-1")
    return folder


@pytest.fixture(scope="module")
def opened(painted_study):
    with studio(painted_study / "study", painted_study / "runs") as running:
        yield running


def mask_file(painted_study, case):
    return painted_study / "study/train" / f"{TARGET}_0.2" / f"{case}.png"


def test_the_gallery_shows_every_image_and_what_is_known_of_it(browser, opened, shots):
    with page_of(browser, opened) as page:
        page.wait_for_selector(".tile img")
        assert page.locator(".tile").count() == 8
        page.wait_for_function("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth > 0)")
        page.screenshot(path=shots / "gallery.png")
        page.get_by_label("Show").select_option("Not annotated")
        page.wait_for_function("document.querySelectorAll('.tile').length === 2")
        page.get_by_label("Find").fill("no image is called so")
        page.wait_for_selector("#counted:has-text('0 of 8')")


def test_images_are_added_by_choosing_files(browser, opened, painted_study, tmp_path, shots):
    folder = painted_study / "study"
    Pillow.new("RGB", (90, 60), (200, 90, 150)).save(tmp_path / "new.png")
    (tmp_path / "words.png").write_text("no image")
    with page_of(browser, opened) as page:
        page.get_by_text("Add images", exact=True).click()
        page.get_by_label("Add images").set_input_files([tmp_path / "new.png", tmp_path / "words.png"])
        page.wait_for_selector("#added .bad:has-text('is not a whole image')")
        page.wait_for_selector(".tile:has-text('new')")
        page.screenshot(path=shots / "added.png")
    (new,) = folder.rglob("new.png")
    assert not list(folder.rglob("words.png"))
    new.unlink()


def test_paint_undo_and_save_change_exactly_the_painted_pixels(browser, opened, painted_study, shots):
    with page_of(browser, opened, "paint") as page:
        box = canvas(page)
        case = page.evaluate("hilumViewer.name")
        before = np.asarray(Pillow.open(mask_file(painted_study, case))) > 0
        page.keyboard.press("2")
        page.keyboard.press("b")
        page.evaluate("hilumViewer.resize(10)")
        for start, end in (((20, 30), (60, 30)), ((20, 70), (60, 70))):
            page.mouse.move(*to_page(page, box, *start))
            page.mouse.down()
            page.mouse.move(*to_page(page, box, *end), steps=8)
            page.mouse.up()
        kept(page)
        page.screenshot(path=shots / "painted.png")
        page.keyboard.press("Control+z")
        kept(page)
        page.keyboard.press("Control+s")
        page.wait_for_function("document.querySelector('.saved').textContent === 'saved'")
        after = np.asarray(Pillow.open(mask_file(painted_study, case))) > 0
        rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
        away = np.hypot(np.clip(columns + 0.5, 20, 60) - columns - 0.5, rows + 0.5 - 30)
        changed = before ^ after
        assert not changed[away > 5.6].any(), "the undone stroke left something"
        assert after[away < 4.4].all()
        assert page.evaluate("hilumViewer.mask.data.reduce((a, b) => a + b, 0)") == after.sum()


def test_polygon_fill_eraser_and_accept_by_mouse(browser, opened, painted_study, shots):
    with page_of(browser, opened, "paint?case=3_WT_FLU_1") as page:
        box = canvas(page)
        page.get_by_label("Name of a new target").fill("Vessel")
        page.get_by_role("button", name="Add", exact=True).click()
        page.wait_for_function("hilumViewer.target === 'Vessel' && hilumViewer.mask")
        page.keyboard.press("p")
        for corner in ((10, 10), (50, 10), (50, 40), (10, 40)):
            page.mouse.click(*to_page(page, box, *corner))
        page.keyboard.press("Enter")
        count = "hilumViewer.mask.data.reduce((a, b) => a + b, 0)"
        assert page.evaluate(count) == 40 * 30
        page.keyboard.press("e")
        page.evaluate("hilumViewer.resize(6)")
        page.mouse.click(*to_page(page, box, 30, 25))
        hole = page.evaluate(count)
        assert 40 * 30 - 40 < hole < 40 * 30 - 16
        page.keyboard.press("f")
        page.mouse.click(*to_page(page, box, 30, 25))
        assert page.evaluate(count) == 40 * 30
        kept(page)
        page.get_by_role("radio", name="Parenchyma").check()
        page.keyboard.press("a")
        page.wait_for_timeout(200)
        page.mouse.move(*to_page(page, box, 5, 5))
        page.mouse.down()
        page.mouse.move(*to_page(page, box, 90, 90), steps=4)
        page.mouse.up()
        page.screenshot(path=shots / "accepted.png")
        kept(page)
        page.get_by_role("button", name="Save").click()
        page.wait_for_function("document.querySelector('.saved').textContent === 'saved'")
    assert (painted_study / "study/train/Vessel/3_WT_FLU_1.png").is_file()


def test_layers_show_the_models_errors(browser, opened, shots):
    with page_of(browser, opened, "paint?case=3_WT_FLU_1") as page:
        canvas(page)
        page.keyboard.press("2")
        page.keyboard.press("x")
        page.wait_for_function(
            "hilumViewer.predictions.size && hilumViewer.predictions.values().next().value.errors.chunks"
        )
        page.keyboard.press("c")
        page.wait_for_timeout(300)
        page.screenshot(path=shots / "errors.png")
        page.keyboard.press("x")
        page.keyboard.press("u")
        page.wait_for_function("hilumViewer.uncertainties.size > 0")
        page.keyboard.press("c")
        page.keyboard.press("u")
        page.keyboard.press("g")
        page.wait_for_function("hilumViewer.explanations.size > 0")
        page.screenshot(path=shots / "grad-cam.png")
        page.get_by_label("What of the model's look").select_option(index=1)
        page.wait_for_function("hilumViewer.explanations.size > 1")
        page.screenshot(path=shots / "feature-map.png")


def test_tables_are_shown_and_downloaded(browser, opened, painted_study, shots):
    with page_of(browser, opened, "results") as page:
        page.wait_for_selector("#measurements tbody tr")
        page.wait_for_selector("[data-plot=boxes] canvas")
        page.wait_for_timeout(200)
        page.screenshot(path=shots / "results.png", full_page=True)
        for name, read in (("measurements.csv", pd.read_csv), ("measurements.xlsx", pd.read_excel)):
            with page.expect_download() as download:
                page.locator(f"[data-table='{name}']").click()
            table = read(io.BytesIO(Path(download.value.path()).read_bytes()))
            assert {"case", "target", "area"} <= set(table.columns)
            assert len(table) == 12
        page.get_by_label("Filter").fill(TARGET)
        page.wait_for_function("document.querySelectorAll('#measurements tbody tr').length === 6")


def test_every_control_can_be_reached_by_keys_and_has_a_name(browser, opened, shots):
    for dark, width in (("light", 800), ("dark", 1280)):
        for path in ("", "paint", "train", "results", "next"):
            with page_of(browser, opened, path, color_scheme=dark) as page:
                page.set_viewport_size({"width": width, "height": 800})
                page.wait_for_selector("header.top nav a")
                page.wait_for_timeout(400)
                nameless = page.evaluate(NAMELESS)
                assert not nameless
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), (
                    f"{path} is too wide"
                )
                page.keyboard.press("Tab")
                assert page.evaluate("document.activeElement.textContent") == "To the content"
                page.screenshot(path=shots / f"{path or 'images'}-{dark}-{width}.png")


NAMELESS = """[...document.querySelectorAll('button, input, select, textarea, a[href], canvas[tabindex]')]
    .filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim()
        || e.getAttribute('aria-labelledby') || e.title || e.querySelector('[aria-label], img[alt]')))
    .map(e => e.outerHTML.slice(0, 200))"""


@pytest.mark.slow
def test_train_watch_correct_and_train_again(browser, phantom_study, tmp_path, shots):
    folder, runs = tmp_path / "study", tmp_path / "runs"
    shutil.copytree(phantom_study, folder)
    with studio(folder, runs) as opened:
        with page_of(browser, opened, "train") as page:
            start_training(page, steps=15)
            points = []
            while "done" not in (words := page.locator("#progress-words").inner_text()):
                assert "failed" not in words, words
                points.append(len((runs / ".jobs/train.jsonl").read_text().splitlines()))
                time.sleep(0.5)
            page.wait_for_selector("[data-curve='loss'] canvas")
            assert points[-1] > points[0], "the curve did not grow"
            page.screenshot(path=shots / "trained.png", full_page=True)
        with page_of(browser, opened, "") as page:
            page.get_by_label("Sort by").select_option("Dice, worst first")
            page.wait_for_timeout(300)
            page.locator(".tile").first.click()
            box = canvas(page)
            case = page.evaluate("hilumViewer.name")
            page.keyboard.press("2")
            page.keyboard.press("b")
            x, y = to_page(page, box, 60, 48)
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 60, y, steps=4)
            page.mouse.up()
            kept(page)
        with page_of(browser, opened, "train") as page:
            start_training(page, steps=5)
            page.wait_for_selector("[data-round='round-2'] [data-comparison] table", timeout=5 * PATIENCE_MS)
            page.wait_for_timeout(500)
            page.screenshot(path=shots / "compared.png", full_page=True)
            assert page.locator("[data-round='round-1'] .chip.yes").count() == 1, (
                "a round took over by itself"
            )
            page.get_by_role("button", name="Use round-2").click()
            page.wait_for_selector("[data-round='round-2'] .chip.yes")
    assert "--init" not in case
    assert np.asarray(Pillow.open(folder / "train" / f"{TARGET}_0.2" / f"{case}.png"))[48, 62] == 255


def start_training(page, steps):
    page.get_by_text("Settings, as for").click()
    quick = ("training.threads=1", "model.settings.width=4", "scoring.bootstrap=50")
    page.get_by_role("textbox", name="Settings").fill("\n".join(quick))
    page.get_by_label("Steps a fold").fill(str(steps))
    page.get_by_label("Steps a fold").blur()
    page.wait_for_timeout(300)
    page.locator("#start").click()
    page.wait_for_function("document.querySelector('#progress-words')?.textContent.startsWith('Training')")


@pytest.fixture(scope="module")
def xray_study(tmp_path_factory, quick):
    """X-rays in class folders with a classifier of a few steps, and some of them without labels."""
    import hilum
    from hilum.phantoms.make import make_phantom

    folder = tmp_path_factory.mktemp("xray")
    make_phantom("xray", folder / "study", cases=12, size=(96, 120))
    hilum.train(folder / "study", folder / "runs/round-1", steps=10, settings=quick, device="cpu")
    loose = folder / "loose"
    loose.mkdir()
    for path in sorted((folder / "study/train").rglob("*.jp*g"))[:5]:
        shutil.copy(path, loose / f"{path.parent.name}-{path.name}")
    return folder


def test_label_xrays_by_keys(browser, xray_study, shots):
    from hilum.studio.view import look

    folder, runs = xray_study / "loose", xray_study / "loose-runs"
    with studio(folder, runs) as opened, page_of(browser, opened, "label") as page:
        for name in ("normal", "pneumonia"):
            page.get_by_label("New class").fill(name)
            page.get_by_role("button", name="Add").click()
            page.wait_for_function(f"document.querySelector('.classes').textContent.includes('{name}')")
        page.locator("#labelled-case").click()
        wanted = {}
        for key in "12121":
            case = page.locator("#labelled-case").inner_text()
            done = len(wanted) + 1
            wanted[case] = ("normal", "pneumonia")[int(key) - 1]
            page.keyboard.press(key)
            page.wait_for_selector(f"#labelled-count:has-text('{done} labelled')")
        page.screenshot(path=shots / "labelled.png")
    study = look(xray_study / "loose").study
    found = {case.name: next(name for name, value in case.labels.items() if value) for case in study.cases}
    assert found == wanted


def test_drag_the_operating_point(browser, xray_study, shots):
    with studio(xray_study / "study", xray_study / "runs") as opened:
        with page_of(browser, opened, "results") as page:
            plot = page.locator(".roc svg")
            plot.wait_for()
            box = plot.bounding_box()
            read = lambda name: page.locator(f"[data-name='{name}']").inner_text()  # noqa: E731
            page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] - 16, box["y"] + 6, steps=6)
            page.mouse.up()
            assert read("sensitivity") == "1.000"
            low = float(read("threshold"))
            page.mouse.move(box["x"] + 200, box["y"] + 200)
            page.mouse.down()
            page.mouse.move(box["x"] + 48, box["y"] + box["height"] - 40, steps=6)
            page.mouse.up()
            assert float(read("threshold")) > low
            assert read("specificity") == "1.000"
            page.get_by_role("slider").focus()
            page.keyboard.press("Home")
            page.wait_for_function(
                "document.querySelector('[data-name=sensitivity]').textContent === '1.000'"
            )
            tp, fn, fp, tn = (int(read(name)) for name in ("tp", "fn", "fp", "tn"))
            assert (fn, tn) == (0, 0)
            assert tp + fp == len(pd.read_csv(xray_study / "runs/round-1/evaluation/cases.csv"))
            page.screenshot(path=shots / "operating-point.png")
        with page_of(browser, opened, "label") as page:
            page.wait_for_selector("#mistakes .tile, #labelled-case")
            page.screenshot(path=shots / "mistakes.png")


def test_three_planes_are_linked_by_a_cross_hair_and_show_what_is_painted(browser, tmp_path, shots):
    from hilum.image.image import Image
    from hilum.image.readers import read_image
    from hilum.image.spacing import Spacing
    from hilum.image.writers import write_image

    shape = (30, 40, 50)
    z, y, x = np.ogrid[:30, :40, :50]
    ball = 100 * (((z - 15) / 12) ** 2 + ((y - 20) / 12) ** 2 + ((x - 25) / 12) ** 2 < 1)
    noise = np.random.default_rng(0).integers(0, 20, (1, *shape))
    volume = Image((ball + noise).astype(np.int16), Spacing((2.0, 1.0, 1.0), "mm"))
    write_image(tmp_path / "study/images/a.nii.gz", volume)
    with studio(tmp_path / "study", tmp_path / "runs") as running, page_of(browser, running, "paint") as page:
        page.wait_for_function("window.hilumViewer?.info && hilumViewer.bitmaps.size")
        page.get_by_label("Name of a new target").fill("Ball")
        page.get_by_role("button", name="Add", exact=True).click()
        page.wait_for_function("hilumViewer.target === 'Ball' && hilumViewer.mask")
        page.locator("canvas.stage").focus()
        page.keyboard.press("v")
        page.wait_for_function(
            "['0|', '1|', '2|'].every(a => [...hilumViewer.bitmaps.keys()].some(k => "
            "k.startsWith(`axis=${a[0]}`)))"
        )
        box = page.locator("canvas.stage").bounding_box()
        view = page.evaluate("({...hilumViewer.views[1], stretch: 2})")
        click = box["x"] + box["width"] / 3 + view["x"] + 10.5 * view["scale"]
        page.mouse.click(click, box["y"] + view["y"] + (30 - 1 - 7 + 0.5) * view["scale"] * 2)
        assert page.evaluate("hilumViewer.cross") == [7, 20, 10]
        assert page.evaluate("hilumViewer.index") == 7
        page.wait_for_function("hilumViewer.masks.has('Ball|0|7')")
        page.keyboard.press("b")
        page.evaluate("hilumViewer.resize(8)")
        page.mouse.click(*to_page(page, box, 10, 20))
        kept(page)
        page.wait_for_function("hilumViewer.masks.get('Ball|1|20')?.data[(30 - 1 - 7) * 50 + 10] === 1")
        page.wait_for_function("hilumViewer.masks.get('Ball|2|10')?.data[(30 - 1 - 7) * 40 + 20] === 1")
        page.screenshot(path=shots / "three-planes.png")
        page.keyboard.press("Control+s")
        page.wait_for_function("document.querySelector('.saved').textContent === 'saved'")
    mask = read_image(tmp_path / "study/masks/Ball/a.nii.gz").array[0] > 0
    assert mask[7, 20, 10]
    assert not np.delete(mask, 7, axis=0).any()


def test_a_field_of_a_slide_is_cut_out_and_painted(browser, tmp_path, shots):
    import tifffile

    rows, columns = np.ogrid[:8200, :8200]
    slide = ((rows // 40 + columns // 40) % 200).astype(np.uint8)
    (tmp_path / "study/images").mkdir(parents=True)
    options = {"tile": (512, 512), "compression": "zlib", "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "study/images/big.tif") as file:
        file.write(slide, subifds=3, **options)
        for step in (2, 4, 8):
            file.write(slide[::step, ::step], subfiletype=1, **options)
    with studio(tmp_path / "study", tmp_path / "runs") as running, page_of(browser, running, "paint") as page:
        page.wait_for_function("window.hilumViewer?.info?.slide && hilumViewer.bitmaps.size")
        page.evaluate("hilumViewer.zoomTo(1)")
        page.get_by_label("Size of a field").select_option("512")
        wanted = page.evaluate("hilumViewer.fieldBox")
        page.screenshot(path=shots / "slide.png")
        page.get_by_role("button", name="Cut out and paint").click()
        page.wait_for_function("window.hilumViewer?.info?.paintable && hilumViewer.bitmaps.size")
        page.get_by_label("Name of a new target").fill("Nerve")
        page.get_by_role("button", name="Add", exact=True).click()
        page.wait_for_function("hilumViewer.target === 'Nerve' && hilumViewer.mask")
        box = page.locator("canvas.stage").bounding_box()
        page.mouse.click(*to_page(page, box, 100, 200))
        kept(page)
        page.keyboard.press("Control+s")
        page.wait_for_function("document.querySelector('.saved').textContent === 'saved'")
    (field,) = (tmp_path / "study/images").glob("big_y*.tif")
    y, x = wanted["y"], wanted["x"]
    assert (tifffile.imread(field) == slide[y : y + 512, x : x + 512]).all()
    (mask,) = (tmp_path / "study/masks/Nerve").iterdir()
    assert np.asarray(Pillow.open(mask))[200, 100] == 255


def test_step_through_a_ct_and_judge_a_nodule(browser, tmp_path, shots):
    from hilum.phantoms.make import make_phantom

    folder = make_phantom("ct", tmp_path / "study", cases=2, size=(40, 96, 96))
    with studio(folder, tmp_path / "runs") as opened, page_of(browser, opened, "paint") as page:
        page.wait_for_function("window.hilumViewer?.info && hilumViewer.bitmaps.size")
        box = page.locator("canvas.stage").bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 300)
        start = page.evaluate("hilumViewer.index")
        for _ in range(3):
            page.mouse.wheel(0, 100)
        page.wait_for_function(f"hilumViewer.index === {start + 3}")
        page.get_by_role("button", name="soft tissue").click()
        assert page.evaluate("hilumViewer.window[1]") == 240
        page.get_by_role("button", name="coronal").click()
        page.wait_for_timeout(300)
        page.screenshot(path=shots / "coronal.png")
        page.get_by_role("button", name="axial").click()
        page.locator(".marks .jump").first.click()
        mark = page.evaluate("hilumViewer.info.marks[0]")
        assert page.evaluate("hilumViewer.index") == round(mark["voxel"][0])
        page.locator(".judge .accepted").first.click()
        page.wait_for_selector("li[data-decision=accepted]")
        page.screenshot(path=shots / "nodules.png")
        table = pd.read_csv(folder / "nodule-decisions.csv")
        assert table.decision.tolist() == ["accepted"]
        assert np.allclose(table[["coordX", "coordY", "coordZ"]].to_numpy()[0], mark["centre"], atol=1e-3)


@pytest.fixture(scope="module")
def two_balls(tmp_path_factory):
    """A volume with masks of two targets, in a studio that runs: its address and its folder."""
    from hilum.image.image import Image
    from hilum.image.spacing import Spacing
    from hilum.image.writers import write_image

    folder = tmp_path_factory.mktemp("balls")
    noise = np.random.default_rng(0).integers(0, 90, (1, 12, 40, 50)).astype(np.int16)
    write_image(folder / "study/images/a.nii.gz", Image(noise, Spacing((2.0, 1.0, 1.0), "mm")))
    for target in ("One", "Two"):
        mask = np.zeros((1, 12, 40, 50), np.uint8)
        mask[0, 2:10, 30:36, 30:36] = 255
        write_image(folder / f"study/masks/{target}/a.nii.gz", Image(mask, Spacing((2.0, 1.0, 1.0), "mm")))
    with studio(folder / "study", folder / "runs") as running:
        yield running, folder / "study"


@contextlib.contextmanager
def painting(browser, running):
    """A page whose brush is down on target One in slice 6, from (10, 10) to (20, 10), and its canvas box."""
    with page_of(browser, running, "paint") as page:
        box = canvas(page)
        page.locator("canvas.stage").focus()
        page.keyboard.press("1")
        page.keyboard.press("b")
        page.evaluate("hilumViewer.resize(6)")
        page.wait_for_function("hilumViewer.mask && hilumViewer.masks.has('Two|0|6')")
        page.mouse.move(*to_page(page, box, 10, 10))
        page.mouse.down()
        page.mouse.move(*to_page(page, box, 20, 10), steps=4)
        yield page, box


def held(page):
    """Pixels that each target has in slice 6 on the page and, loaded anew, on the server."""
    count = "['One', 'Two'].map(t => hilumViewer.masks.get(`${t}|0|6`).data.reduce((a, b) => a + b, 0))"
    on_page = page.evaluate(count)
    page.evaluate("hilumViewer.masks.clear(); hilumViewer.loadLayers()")
    page.wait_for_function("hilumViewer.masks.has('One|0|6') && hilumViewer.masks.has('Two|0|6')")
    return on_page, page.evaluate(count)


def test_escape_takes_back_the_stroke_that_is_being_painted(browser, two_balls):
    with painting(browser, two_balls[0]) as (page, box):
        assert page.evaluate("hilumViewer.mask.data[10 * 50 + 15]") == 1
        page.keyboard.press("Escape")
        page.mouse.move(*to_page(page, box, 40, 10), steps=4)
        page.mouse.up()
        kept(page)
        assert page.evaluate("hilumViewer.done.length") == 0
        assert held(page) == ([36, 36], [36, 36])


def test_a_stroke_stays_on_its_target_and_slice(browser, two_balls):
    touch = "document.querySelector('canvas.stage').dispatchEvent(new PointerEvent('{}', {{pointerId: 77, "
    touch += "pointerType: 'touch', button: 0, bubbles: true, clientX: 600, clientY: 400}}))"
    with painting(browser, two_balls[0]) as (page, box):
        page.mouse.wheel(0, 120)
        for key in ("2", "PageDown", "v", "e", "Control+z", "."):
            page.keyboard.press(key)
        for kind in ("pointerdown", "pointermove", "pointerup"):
            with contextlib.suppress(playwright.Error):  # a capture of a pointer that is not there
                page.evaluate(touch.format(kind))
        page.mouse.move(*to_page(page, box, 30, 10), steps=4)
        page.mouse.up()
        kept(page)
        assert page.evaluate("[hilumViewer.target, hilumViewer.index, hilumViewer.tool]") == [
            "One",
            6,
            "brush",
        ]
        assert page.evaluate("hilumViewer.done.map(s => [s.target, s.axis, s.index])") == [["One", 0, 6]]
        assert page.evaluate("hilumViewer.mask.data[10 * 50 + 28]") == 1
        (one, two), server = held(page)
        assert [one, two] == server
        assert one > 36 + 20 * 5
        assert two == 36
        page.keyboard.press("Control+z")
        kept(page)
        assert held(page) == ([36, 36], [36, 36])


def test_a_stroke_ends_where_another_target_or_slice_is_chosen_in_the_panel(browser, two_balls):
    with painting(browser, two_balls[0]) as (page, box):
        page.evaluate("hilumViewer.chooseTarget('Two')")
        page.mouse.move(*to_page(page, box, 40, 10), steps=4)
        page.mouse.up()
        page.mouse.move(*to_page(page, box, 10, 20))
        page.mouse.down()
        page.evaluate("hilumViewer.slice(7)")
        page.mouse.up()
        kept(page)
        found = page.evaluate("hilumViewer.done.map(s => [s.target, s.axis, s.index])")
        assert found == [["One", 0, 6], ["Two", 0, 6]]
        page.evaluate("hilumViewer.slice(6)")
        on_page, server = held(page)
        assert on_page == server
        page.evaluate("hilumViewer.undo(); hilumViewer.undo()")
        kept(page)
        assert held(page) == ([36, 36], [36, 36])


SLOW = """async (first) => {
    const sent = window.fetch;
    let count = 0;
    window.fetch = async (address, options) => {
        const waits = String(address).startsWith("/api/stroke") ? [first, 150][Math.min(count++, 1)] : 0;
        await new Promise((done) => setTimeout(done, waits));
        return sent(address, options);
    };
}"""
PAINT = """([[x0, y0], [x1, y1]]) => {
    hilumViewer.begin([x0, y0], 1, 1);
    hilumViewer.stamp([x0, y0], [x1, y1], { timeStamp: 0 });
    hilumViewer.lift();
}"""
SAME = """async () => {
    const { data, width, height } = hilumViewer.mask;
    const answer = await fetch(`/api/mask?case=a&target=${hilumViewer.target}&${hilumViewer.place}`);
    const spans = new Uint32Array(await answer.arrayBuffer());
    const theirs = new Uint8Array(width * height);
    for (let k = 0; k < spans.length; k += 2) theirs.fill(1, spans[k], spans[k] + spans[k + 1]);
    return [data.every((value, at) => value === theirs[at]), theirs.reduce((a, b) => a + b, 0)];
}"""


def test_undo_across_planes_leaves_the_page_and_the_studio_alike(browser, two_balls):
    in_view = "hilumViewer.mask && !hilumViewer.queue.length && !hilumViewer.working"
    with page_of(browser, two_balls[0], "paint") as page:
        canvas(page)
        page.evaluate(SLOW, 150)
        page.keyboard.press("1")
        page.evaluate("hilumViewer.resize(6)")
        page.wait_for_function("hilumViewer.masks.has('One|0|6')")
        page.evaluate(PAINT, [[10, 10], [20, 10]])
        page.evaluate("hilumViewer.turn(1); hilumViewer.slice(10)")
        page.wait_for_function("hilumViewer.masks.has('One|1|10')")
        page.evaluate(PAINT, [[12, 5], [25, 5]])
        for steps in (["undo"], ["undo"], ["redo", "redo"], ["undo", "undo"]):
            page.evaluate("(steps) => steps.forEach((one) => hilumViewer[one]())", steps)
            page.wait_for_function(in_view)
            assert page.evaluate(SAME)[0], steps
        assert page.evaluate(SAME)[1] == 36


def test_a_polygon_belongs_to_the_target_that_it_is_begun_on(browser, two_balls):
    with page_of(browser, two_balls[0], "paint") as page:
        box = canvas(page)
        page.locator("canvas.stage").focus()
        page.keyboard.press("1")
        page.keyboard.press("p")
        page.wait_for_function("hilumViewer.mask && hilumViewer.masks.has('Two|0|6')")
        for x, y in ((10, 10), (20, 10), (20, 20)):
            page.mouse.click(*to_page(page, box, x, y), delay=20)
        assert page.evaluate("hilumViewer.corners.length") == 3
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        kept(page)
        assert held(page) == ([36, 36], [36, 36])


def test_keys_go_on_where_they_were_when_the_panel_is_built_anew(browser, two_balls):
    focused = "[document.activeElement.type, document.activeElement.closest('[data-layer]')?.dataset.layer]"
    with page_of(browser, two_balls[0], "paint") as page:
        canvas(page)
        page.focus("[data-layer=outlines] input")
        for shown in (True, False):
            page.keyboard.press("Space")
            assert page.evaluate("hilumViewer.shown.outlines") is shown
            assert page.evaluate(focused) == ["checkbox", "outlines"]
        page.focus("input[name=target]:checked")
        for target in ("Two", "One", "Two"):
            page.keyboard.press("ArrowDown")
            assert page.evaluate("[hilumViewer.target, document.activeElement.value]") == [target, target]


@pytest.fixture
def two_pictures(tmp_path, disc):
    """Two images with masks that are nothing but a disc."""
    from hilum.image.writers import write_mask

    for at, name in enumerate("ab"):
        (tmp_path / "study/images").mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(at).integers(0, 255, (60, 80, 3)).astype(np.uint8)
        Pillow.fromarray(noise).save(tmp_path / f"study/images/{name}.png")
        write_mask(tmp_path / f"study/masks/{name}.png", disc((60, 80), (50, 10), 6))
    return tmp_path


def test_strokes_made_while_the_studio_was_started_anew_reach_its_files(browser, two_pictures):
    study, runs = two_pictures / "study", two_pictures / "runs"

    def painted():
        mask = np.array(Pillow.open(study / "masks/a.png")) > 0
        return [bool(mask[y, 30]) for y in (10, 20, 30)]

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    with studio(study, runs) as opened:
        page.goto(opened.address)
        page.goto(opened.base + "paint?case=a")
        canvas(page)
        page.evaluate("hilumViewer.resize(4)")
        page.evaluate(PAINT, [[20, 10], [40, 10]])
        kept(page)
    for y in (20, 30):
        page.evaluate(PAINT, [[20, y], [40, y]])
    page.wait_for_function("hilumViewer.message.textContent.startsWith('The studio does not answer')")
    with studio(study, runs, "--port", opened.base.rpartition(":")[2].strip("/")) as again:
        page.wait_for_function("hilumViewer.message.textContent.includes('open the address')")
        assert page.evaluate("hilumViewer.queue.length") == 2
        assert painted() == [True, False, False]
        context.new_page().goto(again.address)
        page.wait_for_function("!window.hilumViewer?.queue.length")
    assert painted() == [True, True, True]
    context.close()


def test_the_next_image_waits_for_strokes_that_take_long(browser, two_pictures):
    with studio(two_pictures / "study", two_pictures / "runs") as opened, page_of(browser, opened) as page:
        page.goto(opened.base + "paint?case=a")
        canvas(page)
        page.evaluate("hilumViewer.resize(4)")
        page.evaluate(SLOW, 11_500)
        for y in (10, 20):
            page.evaluate(PAINT, [[20, y], [40, y]])
        page.keyboard.press(".")
        page.wait_for_function("hilumViewer.name === 'b' && hilumViewer.mask")
        assert page.evaluate("[hilumViewer.queue.length, hilumViewer.versions.get('target')]") == [0, 0]
        page.evaluate(PAINT, [[20, 30], [40, 30]])
        kept(page)
        assert page.evaluate("hilumViewer.message.hidden")
    for name, rows in (("a", (10, 20)), ("b", (30,))):
        mask = np.array(Pillow.open(two_pictures / f"study/masks/{name}.png")) > 0
        assert all(mask[y, 30] for y in rows)
