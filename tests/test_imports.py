"""`import hilum` and `hilum --help` are light: counted in modules, which no busy machine changes."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "pandas", "matplotlib", "monai", "sklearn", "skimage", "SimpleITK")
HEAVY += ("pydicom", "tifffile", "lightning_fabric", "PIL", "pydantic", "jinja2", "openpyxl")
IMPORT_MODULES = 40
HELP_MODULES = 400


def modules_after(code):
    """Names of the modules that `code` loads beyond those of a bare interpreter."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")) - {""}


HELP = """
import contextlib, io
from typer.testing import CliRunner
from hilum.cli import app
sys.argv = ["hilum", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    app()
"""


@pytest.mark.parametrize(
    ("code", "most"), [("import hilum", IMPORT_MODULES), (HELP, HELP_MODULES)], ids=["import", "help"]
)
def test_nothing_heavy_is_loaded(code, most):
    found = modules_after(code)
    assert not {name.partition(".")[0] for name in found} & set(HEAVY)
    assert len(found) <= most, f"{len(found)} modules"


def test_help_shows_every_verb():
    import hilum

    script = "import sys; from hilum.cli import main; sys.argv = ['hilum', '--help']; main()"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(verb in shown for verb in hilum.__all__)


def test_verbs_are_functions_of_the_package():
    import hilum

    assert all(callable(getattr(hilum, name)) for name in hilum.__all__)
    assert set(hilum.__all__) <= set(dir(hilum))


def test_an_unknown_name_is_an_attribute_error_that_lists_the_verbs():
    import hilum

    with pytest.raises(AttributeError, match="predict"):
        hilum.tain  # noqa: B018
