import os
import signal
import threading

import pytest

from hilum.training.stopping import sigterm_as_ctrl_c, stops_held_back


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Shells start background jobs deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_asked_for(number):
    done = []
    with pytest.raises(KeyboardInterrupt), stops_held_back() as check:  # noqa: PT012
        check()
        send(number)
        done.append("the step is finished")
        check()
        done.append("never")
    assert done == ["the step is finished"]


def test_a_signal_that_nobody_asked_for_is_not_lost():
    with pytest.raises(KeyboardInterrupt), stops_held_back():
        send(signal.SIGTERM)


def test_a_second_signal_stops_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), stops_held_back():  # noqa: PT012
        send(signal.SIGINT)
        done.append(1)
        send(signal.SIGINT)
        done.append(2)
    assert done == [1]


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stops_held_back():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    with sigterm_as_ctrl_c():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ignored_signals_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stops_held_back() as check:
        send(signal.SIGINT)
        check()


def test_other_threads_are_let_alone():
    seen = []

    def work():
        with stops_held_back() as check:
            check()
            seen.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_sigterm_ends_the_work_as_ctrl_c_does():
    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        send(signal.SIGTERM)
