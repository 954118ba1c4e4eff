"""Virtual environments of the peers: one each, by PyPI name and pinned, made once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

TORCH = "torch==2.13.0"
VISION = "torchvision==0.28.0"  # the release that goes with torch 2.13.0
PACKAGES: dict[str, tuple[str, ...]] = {
    "forest": ("numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.0", "scikit-image==0.26.0"),
    "monai": (TORCH, "numpy==2.4.6", "monai==1.6.1"),
    "nnunet": (TORCH, VISION, "nnunetv2==2.8.1"),
    "biapy": (TORCH, VISION, "biapy==3.7.1"),
    "keras": (TORCH, "numpy==2.4.6", "keras==3.15.1"),
    "augment": (TORCH, "numpy==2.4.6", "monai==1.6.1", "torchio==1.2.1", "kornia==0.9.0"),
}


def python_of(environment: str, folder: Path, torch_index: str | None = None) -> Path:
    """The interpreter of an environment below `folder`, made and filled where it is not there yet.

    A file `made` with a hash of the packages is written last, so that a broken installation is made again.
    Raises subprocess.CalledProcessError where pip fails; its words are on the terminal.
    """
    home = folder / environment
    python = home / "bin" / "python"
    packages = PACKAGES[environment]
    wanted = hashlib.sha256(" ".join(packages).encode()).hexdigest()
    made = home / "made"
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(home, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", *packages]
    if torch_index:
        command += ["--extra-index-url", torch_index]
    subprocess.run(command, check=True)
    made.write_text(wanted, encoding="utf-8")
    return python


def main() -> None:
    """Make the environments named, or all: `python bench/peers/environments.py FOLDER [NAME ...]`."""
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or PACKAGES:
        print(name, python_of(name, folder.absolute()))


if __name__ == "__main__":
    main()
