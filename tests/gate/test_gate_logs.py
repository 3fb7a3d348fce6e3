"""Lines of the log: their form, the request they belong to, and what they must not hold."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gate.telemetry.exchange import Exchange, enter, leave, sane_id
from gate.telemetry.logs import JsonLines, LogFormat, TextLines, fields, start_logging, without_secrets

log = logging.getLogger("gate.of.the.test")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    yield stream
    log.handlers[:] = []


def test_a_line_is_one_json_object_whatever_is_in_it(written):
    log.info("two\nlines of %s", '"Ä"', extra=fields(status=200, user=None))
    line = json.loads(written.getvalue())
    assert written.getvalue().count("\n") == 1
    assert line["message"] == 'two\nlines of "Ä"'
    assert line["level"] == "info"
    assert line["status"] == 200
    assert "user" not in line
    assert "request" not in line


def test_a_line_names_the_request_it_belongs_to(written):
    exchange = Exchange("GET", "/v2/")
    token = enter(exchange)
    log.info("inside")
    leave(token)
    assert json.loads(written.getvalue())["request"] == exchange.id


def test_a_traceback_is_in_the_line(written):
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    assert "ZeroDivisionError" in json.loads(written.getvalue())["exception"]


def test_text_is_for_people():
    record = logging.LogRecord("gate.x", logging.WARNING, __file__, 1, "a %s", ("word",), None)
    assert TextLines().format(record).endswith("WARNING gate.x: a word")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer eyJhbGciOi.JIUzI1.NiJ9", "eyJhbGciOi"),
        ("sent basic Y2k6aHVudGVyMg== to it", "Y2k6aHVudGVyMg"),
        ("postgresql://gate:hunter2@db/gate is down", "hunter2"),
        ("GET /v2/a/blobs/uploads/1?_upload=c2VhbGVk&digest=x", "c2VhbGVk"),
        ("https://s3/x?_state=c2VhbGVk", "c2VhbGVk"),
        ("password=hunter2", "hunter2"),
    ],
)
def test_what_looks_like_a_credential_is_blanked_out(text, secret):
    assert secret not in without_secrets(text)
    assert "…" in without_secrets(text)


@pytest.mark.parametrize("text", ["listening on http://127.0.0.1:5000", "a@b: basics", "Bearer"])
def test_what_does_not_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize("given", ["7f3c-a", "trace:01/x+y=", "a" * 128])
def test_a_client_may_call_its_request_by_a_plain_word(given):
    assert sane_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "é", "a" * 129, '"}'])
def test_anything_else_is_not_repeated(given):
    assert sane_id(given) is None


def test_the_log_is_text_on_a_terminal_and_json_elsewhere():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        chosen = []
        for form, stream in (
            (LogFormat.AUTO, Terminal()),
            (LogFormat.AUTO, io.StringIO()),
            (LogFormat.JSON, Terminal()),
            (LogFormat.TEXT, io.StringIO()),
        ):
            start_logging(form, stream)
            chosen.append(type(root.handlers[0].formatter))
        assert chosen == [TextLines, JsonLines, JsonLines, TextLines]
    finally:
        root.handlers[:] = before
        root.setLevel(level)
