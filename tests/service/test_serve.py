import concurrent.futures
import contextlib
import io

import numpy as np
import pytest
from PIL import Image as Pillow

import hilum
from hilum.image.readers import read_image

httpx = pytest.importorskip("httpx")


def send(client, content, name="image.png", **more):
    return client.post("/predict", files={"file": (name, content)}, **more)


def test_the_answer_is_that_of_predict(client, phantom_run, picture, tmp_path):
    wanted = hilum.predict(phantom_run.folder, picture, tmp_path / "out", overlays=False, device="cpu")
    answer = send(client, picture.read_bytes(), picture.name)
    assert answer.status_code == 200
    found = answer.json()
    assert found["outputs"] == phantom_run.plan.data.outputs
    assert found["image"]["shape"] == [96, 128]
    for row, other in zip(found["measurements"], wanted.summary["measurements"], strict=True):
        assert row["target"] == other["target"]
        assert row["pixels"] == pytest.approx(other["pixels"], rel=0.01, abs=5)


def test_a_mask_comes_as_png_by_parameter_or_by_accept(client, phantom_run, picture, tmp_path):
    hilum.predict(phantom_run.folder, picture, tmp_path / "out", overlays=False, device="cpu")
    (path,) = (tmp_path / "out" / "masks" / "SevereInflammation").iterdir()
    wanted = read_image(path).array[0]
    more = {"params": {"mask": "file", "target": "SevereInflammation"}}
    answer = send(client, picture.read_bytes(), **more)
    assert answer.headers["content-type"] == "image/png"
    found = np.asarray(Pillow.open(io.BytesIO(answer.content)))
    assert found.shape == wanted.shape
    assert np.mean(found == wanted) > 0.99
    answer = send(client, picture.read_bytes(), headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"


def test_what_is_no_image_is_refused_in_words(client, picture):
    assert send(client, b"only text", "notes.txt").status_code == 415
    cut = send(client, picture.read_bytes()[:200], picture.name)
    assert cut.status_code in (415, 422)
    assert "hilum-upload" not in cut.json()["error"], "the message does not say where uploads lie"
    assert send(client, b"", "empty.png").status_code in (415, 422)
    two_channels = io.BytesIO()
    np.save(two_channels, np.zeros((2, 64, 64), np.uint8))
    assert send(client, two_channels.getvalue(), "two.npy").status_code == 422


def test_a_form_without_a_file_and_an_unknown_target_are_422(client, picture):
    assert client.post("/predict", data={"other": "x"}).status_code == 422
    wrong = send(client, picture.read_bytes(), params={"mask": "file", "target": "Nothing"})
    assert wrong.status_code == 422
    assert "choose one of" in wrong.json()["error"]


def test_a_large_upload_is_refused_announced_or_not(client):
    assert send(client, b"0" * 1_000_000).status_code == 413

    def parts():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(30):
            yield b"0" * 100_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx.WriteError):  # it may have answered and closed before all was sent
        assert client.post("/predict", content=parts(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/passwd", "a\\b.png", "x" * 300 + ".png", "\u202e.png"]
)
def test_the_name_of_an_upload_is_never_a_path(client, picture, uploads, name):
    assert send(client, picture.read_bytes(), name).status_code == 200
    assert not list(uploads.rglob("*evil*"))
    assert not list(uploads.parent.glob("evil*"))


def test_many_at_once_are_answered_and_leave_nothing(client, service, picture, uploads):
    content = picture.read_bytes()

    def one(_):
        return httpx.post(f"{service}/predict", files={"file": ("a.png", content)}, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) <= 2
    assert not list(uploads.glob("hilum-upload-*"))
    told = client.get("/metrics").text
    assert 'hilum_requests_total{status="200"}' in told
    assert "hilum_batch_images_count" in told


def test_info_and_health_say_what_is_served(client, phantom_run):
    info = client.get("/info").json()
    assert info["outputs"] == phantom_run.plan.data.outputs
    assert info["scores"]["Parenchyma"]["cases"] == 6
    assert client.get("/health").json()["status"] == "ok"


def test_other_names_of_this_machine_are_not_served(client):
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400


def test_the_description_holds_against_odd_requests(service):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # bytes that are no image are 415

    schema = schemathesis.openapi.from_url(f"{service}/openapi.json")
    checked = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=4,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            case.call_and_validate(timeout=30, excluded_checks=[positive_data_acceptance])

        check()
        checked.add(operation.path)
    assert checked == {"/predict", "/info", "/health", "/metrics"}
