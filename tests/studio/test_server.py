from types import SimpleNamespace

import pytest

from hilum.errors import HilumError
from hilum.studio import server
from hilum.studio.server import listen


def test_two_studios_that_start_at_once_get_two_ports():
    with listen(None) as one, listen(None) as two:
        assert one.getsockname()[1] != two.getsockname()[1]


def test_a_taken_port_is_refused_with_what_to_type():
    with listen(0) as taken, pytest.raises(HilumError, match="leave --port out"):
        listen(taken.getsockname()[1])


def test_a_studio_that_hangs_on_its_end_saves_and_is_ended(monkeypatch):
    done = []
    monkeypatch.setattr(server, "PATIENCE_S", 0)
    monkeypatch.setattr(server.os, "_exit", lambda code: done.append(code))
    desk = SimpleNamespace(easel=SimpleNamespace(save_all=lambda: done.append("saved")))
    server._end_in_time(SimpleNamespace(should_exit=True), desk)
    assert done == ["saved", 0]
