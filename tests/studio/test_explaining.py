import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hilum.errors import HilumError, RunError
from hilum.explanation.activation import class_activation
from hilum.explanation.decision import at_working
from hilum.files import write_json
from hilum.image.image import Image
from hilum.inference.keeping import keep, kept
from hilum.inference.predictor import enlarged
from hilum.planning.plan import Plan
from hilum.studio import explaining, jobs
from hilum.studio.desk import open_desk
from hilum.study.masks import read_case_image
from hilum.training.prepare import prepare_image
from hilum.training.run import load_network, open_run


@pytest.fixture(scope="module")
def own_run(phantom_run, tmp_path_factory):
    """A copy of the run that may be written into."""
    folder = tmp_path_factory.mktemp("explained") / "runs/round-1"
    shutil.copytree(phantom_run.folder, folder)
    return open_run(folder)


def test_grad_cam_is_that_of_the_network_that_has_not_seen_the_case(own_run, phantom_study):
    fold = own_run.splits.folds[1]
    case = next(one for one in own_run.study.cases if one.name in fold.test)
    explaining.explain_for(phantom_study, own_run.folder, case.name, explaining.GRADCAM, 0)
    path = explaining.path_of(own_run, case.name, explaining.GRADCAM, 0)
    found = explaining.map_plane(path, 0, (96, 128), 0, 0)
    x = prepare_image(read_case_image(case), own_run.plan.data)
    assert found.shape == tuple(x.shape[1:])
    network = load_network(own_run, 1)
    whole = class_activation(network, x, 0)
    with np.load(path) as archive:
        assert len(archive["maps"]) == len(own_run.plan.data.outputs)
    assert found.max() == (255 if whole.any() else 0)


@pytest.mark.parametrize("is_kept", [True, False])
def test_grad_cam_lies_inside_what_the_run_finds_by_its_thresholds(
    own_run, phantom_study, tmp_path, monkeypatch, is_kept
):
    folder = tmp_path / "runs/round-1"
    shutil.copytree(own_run.folder, folder)
    run, case = open_run(folder), own_run.splits.folds[0].test[0]
    targets = run.plan.data.outputs
    write_json(run.evaluation / "thresholds.json", dict.fromkeys(targets, 0.3))
    values = kept(run.evaluation / "probabilities", case)
    if not is_kept:
        (run.evaluation / "probabilities" / f"{case}.npz").unlink()
    looked_into = []

    def activation(network, x, k, layer, where):
        looked_into.append(where)
        return np.zeros(tuple(x.shape[1:]), np.float32)

    monkeypatch.setattr("hilum.explanation.activation.class_activation", activation)
    explaining.explain_for(phantom_study, folder, case, explaining.GRADCAM, 0)
    expected = at_working(enlarged(values, (96, 128)) >= 0.3 * 255, values.shape[1:])
    assert len(looked_into) == len(targets)
    assert expected.any()
    for where, one in zip(looked_into, expected, strict=True):
        assert np.array_equal(where, one) if one.any() else where is None


def test_a_slice_is_decided_on_by_the_threshold_of_its_volume_where_its_answer_is_kept(tmp_path):
    plan = Plan()
    plan.task, plan.data.outputs, plan.scoring.threshold = "segment", ["a"], "image"
    run = SimpleNamespace(plan=plan, folder=tmp_path, evaluation=tmp_path / "evaluation")
    volume = np.zeros((1, 6, 8, 8), np.float32)
    volume[0, 0] = 1.0
    volume[0, 4, :4] = 0.4
    predictor = SimpleNamespace(prepared=lambda x: volume[:, 4])
    image, x = Image(np.zeros((1, 6, 8, 8), np.uint8)), torch.zeros(1, 8, 8)
    alone = explaining._found(run, "one", image, x, 4, predictor)
    assert alone.sum() == 32, "most that could be there is faint"
    keep(run.evaluation / "probabilities", "one", volume)
    assert not explaining._found(run, "one", image, x, 4, predictor).any(), "the volume has surer places"
    plan.task = "classify"
    assert explaining._found(run, "one", image, x, 4, predictor) is None


def test_a_layer_is_shown_over_all_channels_and_by_channel(own_run, phantom_study):
    case, layer = own_run.study.cases[0].name, "encoder.0"
    explaining.explain_for(phantom_study, own_run.folder, case, layer, 0)
    assert layer in explaining.known_layers(own_run)
    path = explaining.path_of(own_run, case, layer, 0)
    planes = [explaining.map_plane(path, at, (96, 128), 0, 0) for at in range(3)]
    assert all(plane.min() == 0 and plane.max() == 255 for plane in planes)
    with pytest.raises(HilumError, match="counted from 0"):
        explaining.map_plane(path, 99, (96, 128), 0, 0)
    with pytest.raises(HilumError, match="layer"):
        explaining.explain_for(phantom_study, own_run.folder, case, "nowhere", 0)
    path.write_bytes(b"cut short")
    with pytest.raises(RunError, match="made anew"):
        explaining.map_plane(path, 0, (96, 128), 0, 0)
    assert not path.exists()


def test_volumes_are_explained_slice_by_slice_where_networks_look_at_slices(own_run):
    assert explaining.place_in(own_run, (96, 128), 0, 7) == 0
    assert explaining.place_in(own_run, (20, 96, 128), 0, 7) == 7
    assert explaining.place_in(own_run, (20, 96, 128), 1, 7) is None


def test_maps_of_grad_cam_are_by_target_and_those_of_a_layer_by_channel(own_run):
    outputs = own_run.plan.data.outputs
    assert explaining.which_map(own_run, explaining.GRADCAM, outputs[1], 7) == 1
    assert explaining.which_map(own_run, "encoder.0", "", 7) == 7
    with pytest.raises(HilumError, match=f"the model knows {outputs[0]}, .*not nowhere"):
        explaining.which_map(own_run, explaining.GRADCAM, "nowhere", 0)


def test_the_worker_is_asked_once_and_what_it_could_not_do_is_told(own_run, phantom_study, monkeypatch):
    desk = open_desk(phantom_study, own_run.folder.parent)
    begun = []
    monkeypatch.setattr(jobs, "begin", lambda *all: begun.append(all))
    monkeypatch.setattr(jobs, "status", lambda *_: jobs.Status("explain", "none"))
    case = desk.view.cases[-1].name
    assert explaining.ask(desk, case, "gradcam", 0) is None
    assert begun[0][3]["case"] == case
    monkeypatch.setattr(jobs, "status", lambda *_: jobs.Status("explain", "running"))
    assert explaining.ask(desk, case, "gradcam", 0) is None
    assert len(begun) == 1
    monkeypatch.setattr(jobs, "status", lambda *_: jobs.Status("explain", "failed", error="too large"))
    with pytest.raises(HilumError, match="too large"):
        explaining.ask(desk, case, "gradcam", 0)
    assert explaining.ask(desk, case, "gradcam", 0) is None, "asked again, it is tried again"
    begun.clear()
    monkeypatch.setattr(jobs, "status", lambda *_: jobs.Status("explain", "stopped"))
    with pytest.raises(HilumError, match="stopped; ask"):
        explaining.ask(desk, case, "gradcam", 0)
    assert not begun, "a worker that was killed is not started anew by each look at the page"


def test_the_slice_is_that_which_lies_there_where_slices_are_resampled():
    plan = Plan()
    plan.data.dims, plan.data.neighbours = 2, 0
    x = torch.arange(5.0).reshape(1, 5, 1, 1)
    found = [explaining._slab(x, index, 20, SimpleNamespace(plan=plan)).item() for index in (0, 7, 19)]
    assert found == [0.0, 1.0, 4.0]


def test_maps_of_volumes_are_cut_as_their_planes_are(tmp_path):
    maps = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    np.savez_compressed(tmp_path / "one.npz", maps=maps)
    image = Image(np.zeros((1, 6, 8, 10), np.uint8))
    found = explaining.map_plane(tmp_path / "one.npz", 1, image.shape, 1, 5)
    assert (found == maps[1][::-1, 2]).all()
