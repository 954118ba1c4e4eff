import json

import hilum
from hilum.exchange.parity import TOLERANCE


def test_torchscript_is_written_once_it_answers_as_the_run_does(plain_run, tmp_path):
    done = hilum.export(plain_run.folder, "torchscript", tmp_path / "out")
    assert [path.name for path in done.files] == ["model.pt", "model.json"]
    model = json.loads((tmp_path / "out" / "model.json").read_text())
    assert model["model"] == "model.pt"
    assert model["parity"]["largest_difference"] <= TOLERANCE
