"""Makes the pictures of README and docs from a demo: `make demo`, then run this with its folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hilum.reporting.contact_sheet import sheet

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"
LIMIT_BYTES = 400_000


def save(picture: Image.Image, name: str, width: int) -> None:
    picture = picture.convert("RGB")
    if picture.width > width:
        picture = picture.resize(
            (width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS
        )
    path = OUT / name
    for quality in (88, 80, 70, 60):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LIMIT_BYTES:
            break
    print(path, picture.size, path.stat().st_size)


def screenshot(page: Path, width: int, height: int) -> Image.Image:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("no chromium found: the picture of the report cannot be made")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        words = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
        ]
        command = [
            browser,
            *words,
            f"--user-data-dir={folder}/profile",
            f"--screenshot={shot}",
            page.resolve().as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return Image.open(shot).copy()


def main(demo: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    overlays = sorted((demo / "results" / "overlays").iterdir())
    save(Image.open(overlays[0]), "overlay.jpg", 1000)
    images = sorted((demo / "study" / "train" / "Original_0.2").iterdir())
    pictures = [(path.stem, np.asarray(Image.open(path))) for path in images[:12]]
    save(Image.fromarray(sheet(pictures, columns=4, side=230)), "contact-sheet.jpg", 1000)
    save(screenshot(demo / "run" / "report.html", 1280, 1500), "report.jpg", 1280)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
