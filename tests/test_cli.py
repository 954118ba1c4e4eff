"""The command line as a user meets it: what it prints, what it leaves, how it refuses."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image as Pillow


def test_inspect_tells_what_is_there(command, phantom_study):
    done = command("inspect", phantom_study)
    assert done.code == 0
    for words in ("sibling folders", "Cases: 6", "Groups: 3", "Parenchyma", "SevereInflammation"):
        assert words in done.out


def test_plan_prints_each_choice_with_its_reason(command, phantom_study, tmp_path):
    done = command(
        "plan", phantom_study, "-o", tmp_path / "plan.yaml", "--set", "training.batch=3", "--device", "cpu"
    )
    assert done.code == 0
    assert "batch: 3" in done.out
    assert "# set by --set" in done.out
    assert (tmp_path / "plan.yaml").read_text().strip() == done.out.strip()


def test_the_road_of_a_newcomer(command, phantom_study, phantom_run, tmp_path):
    done = command("predict", phantom_run.folder, phantom_study / "pred", "--out", tmp_path / "out")
    assert done.code == 0
    assert "2 images predicted" in done.out
    masks = tmp_path / "out" / "masks" / "Parenchyma"
    done = command("measure", masks, "--spacing", "2um")
    assert done.code == 0
    assert done.out.count("µm²") == 2
    done = command("report", phantom_run.folder)
    assert done.code == 0
    assert "report.html" in done.out


@pytest.mark.parametrize("verb", ["inspect", "plan", "evaluate", "predict", "measure", "report"])
def test_json_is_for_machines(command, phantom_study, phantom_run, tmp_path, verb):
    mask = next((phantom_run.predictions / "masks" / "Parenchyma").iterdir())
    words = {
        "inspect": [phantom_study],
        "plan": [phantom_study, "--steps", "5"],
        "evaluate": [phantom_run.folder, phantom_study, "--out", tmp_path / "out"],
        "predict": [phantom_run.folder, phantom_study / "pred", "--out", tmp_path / "out"],
        "measure": [mask],
        "report": [phantom_run.folder],
    }[verb]
    done = command(verb, *words, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert set(found) & {"cases", "training", "targets", "measurements", "report"}


def test_train_says_its_scores_and_speaks_json(command, phantom_study, quick, tmp_path):
    settings = [word for setting in quick for word in ("--set", setting)]
    words = ("train", phantom_study, "--steps", 2, "--folds", 2, "--device", "cpu", *settings)
    done = command(*words, "--out", tmp_path / "run")
    assert done.code == 0
    assert "Parenchyma: mean Dice" in done.out
    assert "fold 1" in done.err
    done = command(*words, "--out", tmp_path / "other", "--json")
    assert json.loads(done.out)["targets"]["Parenchyma"]["dice"]["cases"] == 6


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["train"],
        ["train", "x"],
        ["train", "x", "--out", "y", "--minutes", "soon"],
        ["train", "x", "--out", "y", "--minutes", "-1"],
        ["train", "x", "--out", "y", "--device", "tpu"],
        ["predict", "run"],
        ["inspect", "x", "--colour", "red"],
    ],
)
def test_wrong_usage_is_exit_code_two_and_one_hint(command, words):
    done = command(*words)
    assert done.code == 2
    assert "--help" in done.err
    assert "Traceback" not in done.err
    assert not done.out


def test_help_is_there_for_every_verb(command):
    import hilum

    for verb in hilum.__all__:
        done = command(verb, "--help")
        assert done.code == 0
        assert "--json" in done.out


# Bad input: one clear line, exit code 1, and nothing done.


def picture(seed=0, shape=(64, 80)):
    rng = np.random.default_rng(seed)
    small = Pillow.fromarray(rng.integers(0, 255, (8, 10, 3)).astype(np.uint8))
    return small.resize(shape[::-1], Pillow.Resampling.BICUBIC)


def write_study(folder, groups=(1, 2, 3)):
    for index, group in enumerate(groups):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        picture(index).save(folder / "images" / f"{group}_mouse_{index}.jpg")
        mask = np.zeros((64, 80), np.uint8)
        mask[10:40, 10 + index : 50] = 255
        Pillow.fromarray(mask).save(folder / "masks" / f"{group}_mouse_{index}.png")
    return folder


def empty_folder(folder):
    folder.mkdir()
    return [folder], ["empty", "no image", "nothing", "holds"]


def no_folder(folder):
    return [folder], [str(folder)]


def truncated_jpeg(folder):
    path = write_study(folder) / "images" / "2_mouse_1.jpg"
    path.write_bytes(path.read_bytes()[:700])
    return [folder], ["2_mouse_1.jpg"]


def mask_of_another_size(folder):
    path = write_study(folder) / "masks" / "2_mouse_1.png"
    Pillow.open(path).resize((40, 32)).save(path)
    return [folder], ["2_mouse_1.png"]


def one_animal_with_five_folds(folder):
    write_study(folder, groups=(7, 7, 7, 7))
    return [folder, "--folds", 5, "--group-by", r"(\d+)_mouse"], ["--folds 5", "one group"]


def text_named_png(folder):
    path = write_study(folder) / "masks" / "2_mouse_1.png"
    path.write_text("I am no picture")
    return [folder], ["2_mouse_1.png"]


def mask_that_is_all_empty(folder):
    write_study(folder)
    for path in (folder / "masks").iterdir():
        Pillow.fromarray(np.zeros((64, 80), np.uint8)).save(path)
    return [folder], ["no pixel", "empty"]


BAD = (
    empty_folder,
    no_folder,
    truncated_jpeg,
    mask_of_another_size,
    one_animal_with_five_folds,
    text_named_png,
    mask_that_is_all_empty,
)


def assert_refused(done, says):
    assert done.code == 1, done
    assert not done.out
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert any(words in done.err for words in says), done.err


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_study_is_refused_before_any_work(command, tmp_path, make):
    words, says = make(tmp_path / "study")
    done = command("train", *words, "--out", tmp_path / "run", "--minutes", 1)
    assert_refused(done, says)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "make", [make for make in BAD if make is not one_animal_with_five_folds], ids=lambda m: m.__name__
)
def test_it_is_one_line(command, tmp_path, make):
    words, _ = make(tmp_path / "study")
    done = command("train", *words, "--out", tmp_path / "run")
    assert len(done.err.strip().splitlines()) == 1, done.err


def test_bad_cases_can_be_left_out(command, tmp_path, quick):
    folder = write_study(tmp_path / "study", groups=(1, 2, 3, 4))
    (folder / "masks" / "2_mouse_1.png").write_text("I am no picture")
    settings = [word for setting in quick for word in ("--set", setting)]
    words = ("--steps", 2, "--folds", 2, "--device", "cpu", *settings)
    done = command("train", folder, "--out", tmp_path / "run", "--skip-bad", *words)
    assert done.code == 0, done.err
    assert "over 3 cases" in done.out


@pytest.mark.parametrize("verb", ["predict", "evaluate", "report"])
@pytest.mark.parametrize("kind", ["missing", "empty", "file", "study"])
def test_a_folder_that_is_no_run_is_refused(command, tmp_path, verb, kind):
    folder = tmp_path / "norun"
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.write_text("x")
    if kind == "study":
        write_study(folder)
    picture().save(tmp_path / "a.png")
    words = [tmp_path / "a.png", "--out", tmp_path / "out"] if verb == "predict" else []
    done = command(verb, folder, *words)
    assert_refused(done, ["is not a run"])
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["train", "predict"])
def test_an_output_folder_in_use_is_refused(command, phantom_study, phantom_run, tmp_path, verb):
    (tmp_path / "mine.txt").write_text("mine")
    words = {"train": [phantom_study], "predict": [phantom_run.folder, phantom_study / "pred"]}[verb]
    done = command(verb, *words, "--out", tmp_path)
    assert_refused(done, ["not empty"])
    assert len(done.err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_is_not_written_over_but_offered_to_resume(command, phantom_study, phantom_run):
    assert_refused(command("train", phantom_study, "--out", phantom_run.folder), ["--resume"])


def test_a_plan_that_is_none_is_refused(command, phantom_study, tmp_path):
    (tmp_path / "plan.yaml").write_text("trainig: {batch: 3}")
    done = command("train", phantom_study, "--out", tmp_path / "run", "--recipe", tmp_path / "plan.yaml")
    assert_refused(done, ["did you mean training"])


def test_a_tampered_run_is_refused(command, phantom_run, phantom_study, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    (run / "fold-0" / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    done = command("predict", run, phantom_study / "pred", "--out", tmp_path / "out")
    assert_refused(done, ["model.safetensors"])


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_goes_on(phantom_study, quick, tmp_path, command):
    """Shells start background jobs deaf to Ctrl-C, and so their children: the handler is put back first."""
    run = tmp_path / "run"
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{heard}; from hilum.cli import main; main()"
    settings = [word for setting in quick for word in ("--set", setting)]
    words = ["train", str(phantom_study), "--out", str(run), "--steps", "150", "--folds", "2", *settings]
    with subprocess.Popen(
        [sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 300
        while not (run / "manifest.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert "Traceback" not in err
    assert not (run / "report.html").exists()
    done = command("train", phantom_study, "--out", run, "--resume")
    assert done.code == 0, done.err
    assert (run / "report.html").is_file()
    steps = [int(line.split(",")[0]) for line in (run / "fold-0" / "history.csv").read_text().split()[1:]]
    assert steps == list(range(1, 151))


@pytest.mark.parametrize(
    "words",
    [
        ("train", "study", "--out", "run", "--cluster", "local", "--track", "tensorboard"),
        ("predict", "run", "images", "--out", "out", "--cluster", "local", "--mask-format", "zarr"),
        ("train", "study", "--out", "run", "--workers", "2"),
        ("predict", "run", "images", "--out", "out", "--workers", "2"),
        ("evaluate", "run", "--out", "out"),
    ],
)
def test_options_that_would_be_ignored_are_refused(command, words):
    done = command(*words)
    assert done.code == 2
    assert "leave" in done.err
