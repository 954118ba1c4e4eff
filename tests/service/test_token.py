import importlib.util
from pathlib import Path

import pytest

from hilum.errors import HilumError
from hilum.service.limits import Limits, is_loopback

httpx = pytest.importorskip("httpx")
spec = importlib.util.spec_from_file_location("service_conftest", Path(__file__).with_name("conftest.py"))
service_conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(service_conftest)


def test_elsewhere_than_on_loopback_a_token_is_made_and_asked_for(phantom_run, tmp_path):
    words = ("--host", "0.0.0.0", "--waiting", "1", "--batch", "1", "--limit-s", "0.5")
    with service_conftest.served(phantom_run.folder, *words, temporary=tmp_path / "t") as (url, lines):
        url = url.replace("0.0.0.0", "127.0.0.1")
        token = lines.match(r"token: (\S+)")[1]
        right = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/health").status_code == 200
        assert httpx.get(f"{url}/info").status_code == 401
        assert httpx.get(f"{url}/info", headers={"Authorization": "Bearer no"}).status_code == 401
        limits = httpx.get(f"{url}/info", headers=right).json()["limits"]
        assert (limits["waiting"], limits["batch"], limits["seconds"]) == (1, 1, 0.5)
        for page in ("docs", "redoc"):
            assert httpx.get(f"{url}/{page}", headers=right).status_code == 404
        assert httpx.get(f"{url}/openapi.json").status_code == 401
        assert "/predict" in httpx.get(f"{url}/openapi.json", headers=right).json()["paths"]
        assert httpx.post(f"{url}/predict", files={"file": b"x"}).status_code == 401


def test_limits_are_checked():
    with pytest.raises(HilumError, match="upload_bytes is 0; it must be above zero"):
        Limits(upload_bytes=0)


@pytest.mark.parametrize(
    ("host", "loopback"), [("::1", True), ("127.9.9.9", True), ("192.168.0.1", False), ("a.example", False)]
)
def test_loopback(host, loopback):
    assert is_loopback(host) is loopback
