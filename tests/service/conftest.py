"""A real service: a process of its own, reached by a real HTTP client."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

START = "import sys; from hilum.cli import main; sys.argv[0] = 'hilum'; main()"


class Lines:
    """What a process says, line by line, with a time limit."""

    def __init__(self, stream):
        self.found, self.come = [], threading.Condition()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            with self.come:
                self.found.append(line.strip())
                self.come.notify_all()

    def match(self, pattern, seconds=120):
        with self.come:
            self.come.wait_for(lambda: any(re.search(pattern, line) for line in self.found), seconds)
            return next(m for line in self.found if (m := re.search(pattern, line)))


@contextlib.contextmanager
def served(run, *words, temporary):
    """A service as its command line starts it: base URL and what it said."""
    temporary.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", START, "serve", str(run), "--port", "0", "--device", "cpu", *words]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            lines = Lines(process.stdout)
            yield lines.match(r"at (http://\S+),")[1], lines
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


@pytest.fixture(scope="session")
def uploads(tmp_path_factory):
    """The temporary folder of the service: uploads must not stay in it."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def service(phantom_run, uploads):
    """Base URL of a service on loopback, small uploads only."""
    with served(phantom_run.folder, "--limit-mb", "0.2", "--batch", "4", temporary=uploads) as (url, _):
        yield url


@pytest.fixture
def client(service):
    with httpx.Client(base_url=service, timeout=60) as made:
        yield made


@pytest.fixture(scope="session")
def picture(phantom_study):
    """The path of one image to predict."""
    return next(path for path in sorted((phantom_study / "pred").rglob("*")) if path.is_file())
