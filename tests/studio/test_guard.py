import asyncio

import pytest

from hilum.studio.guard import guarded

TOKEN = "secret"
HOST = "127.0.0.1:8321"


def asked(method="GET", path="/", query="", headers=(), kind="http", limit=1000):
    """What the guard answers: (status, headers, whether the app was reached)."""
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    raw = [(b"host", HOST.encode())] if "host" not in dict(headers) else []
    raw += [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    asyncio.run(guarded(app, TOKEN, limit)(scope, receive, send))
    first = sent[0]
    answered = {name.decode(): value.decode() for name, value in first.get("headers", [])}
    return first.get("status") or first.get("code"), answered, bool(reached)


COOKIE = ("cookie", f"hilum-studio-8321={TOKEN}")


def test_the_token_becomes_a_cookie_that_opens_the_door():
    status, headers, reached = asked(path="/paint", query=f"token={TOKEN}")
    assert (status, reached) == (303, False)
    assert headers["location"] == "/paint"
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    name = headers["set-cookie"].partition(";")[0]
    assert asked(headers=[("cookie", name)])[::2] == (200, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 403),
        ([("cookie", "hilum-studio-8321=wrong")], 403),
        ([("cookie", f"hilum-studio-9999={TOKEN}")], 403),
        ([COOKIE, ("origin", "http://evil.example")], 403),
        ([COOKIE, ("origin", "null")], 403),
        ([COOKIE, ("origin", "http://127.0.0.1:9999")], 403),
        ([COOKIE, ("host", "evil.example:8321")], 421),
        ([COOKIE, ("host", "127.0.0.1.evil.example")], 421),
        ([COOKIE, ("sec-fetch-site", "cross-site")], 403),
        ([COOKIE, ("content-length", "1001")], 413),
        ([COOKIE, ("content-length", "many")], 413),
        ([COOKIE, ("transfer-encoding", "chunked")], 411),
    ],
)
def test_everybody_else_stays_outside(headers, status):
    assert asked("POST", "/api/save", headers=headers)[::2] == (status, False)


def test_a_wrong_token_and_one_of_another_kind_stay_outside():
    assert asked(query="token=guess")[::2] == (403, False)
    assert asked(query=f"token={TOKEN}", kind="websocket", headers=[("origin", f"http://{HOST}")])[::2] == (
        4403,
        False,
    )


def test_websockets_of_the_page_come_in_and_of_others_do_not():
    own = [COOKIE, ("origin", f"http://{HOST}")]
    assert asked(kind="websocket", headers=own)[2]
    assert not asked(kind="websocket", headers=[COOKIE, ("origin", "http://evil.example")])[2]


def test_the_way_in_leads_nowhere_else():
    assert asked(path="//evil.example", query=f"token={TOKEN}")[1]["location"] == "/evil.example"
    assert asked(path="/\\evil.example", query=f"token={TOKEN}")[1]["location"] == "/evil.example"


def test_answers_keep_pages_from_being_framed_or_filled_from_elsewhere():
    headers = asked(headers=[COOKIE])[1]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
