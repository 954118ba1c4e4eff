import asyncio
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


def test_the_studio_goes_on_saving_after_any_error(monkeypatch, caplog):
    from hilum.studio import easel

    tries = []

    def save_all(older_than_s=0.0):
        tries.append(older_than_s)
        raise KeyError("a")

    async def run():
        async with server._saving(SimpleNamespace(easel=SimpleNamespace(save_all=save_all)))(None):
            for _ in range(100):
                await asyncio.sleep(0.02)
                if len(tries) > 2:
                    break

    monkeypatch.setattr(easel, "SAVE_AFTER_S", 0.02)
    asyncio.run(run())
    assert len(tries) > 3, "with the last try at the end"
    assert "KeyError" in caplog.text
