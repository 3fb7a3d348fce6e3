"""Notify files that cannot be accepted are named with their line, and say no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from gate.notify.destination import check_url
from gate.notify.events import ALWAYS
from gate.notify.notify_file import read_notify, watch_notify

DATA = Path(__file__).parent / "data" / "notify-files"
SAID = {
    "digest-is-no-event": ":5: sinks.0.events",
    "events-without-a-secret": ":2: sinks.0",
    "login-in-the-address": ":4: sinks.0.url",
    "no-address": ":2: sinks.0",
    "no-such-event": ":5: sinks.0.events.1",
    "owner-of-nothing": ":3: owners.0.repositories",
    "plain-http": ":4: sinks.0.url",
    "secret-file-is-not-there": ":2: sink security: ",
    "secret-is-nowhere": ":4: sinks.0.secrets.0",
    "secret-is-too-short": ":2: sink security: ",
    "two-addresses": ":2: sinks.0",
    "two-sinks-of-one-name": ":1: sinks: two sinks have the name chat",
    "unknown-key": ":4: unknown key 'secret', did you mean 'secrets'?",
    "window-of-no-time": ":5: sinks.0.window",
}


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_that_cannot_be_accepted_is_named_with_its_line(path):
    with pytest.raises(InvalidInput) as error:
        read_notify(path)
    assert SAID[path.stem] in str(error.value)
    assert "hunter2" not in str(error.value)
    assert "aHVudGVyMg" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "https://",
        "https://example.com:0/",
        "https://example.com:port/",
        "https://example.com/#part",
        "https://exa mple.com/",
        "https://[::1/",
        "//example.com/",
        "file:///etc/passwd",
    ],
)
def test_no_message_goes_to_such_an_address(url):
    with pytest.raises(ValueError, match="address") as error:
        check_url(url)
    assert len(url) < 10 or url not in str(error.value)


@pytest.mark.parametrize(
    "url", ["https://example.com/a?key=b", "http://127.0.0.1:8080/", "http://[::1]:1/", "http://localhost/"]
)
def test_https_and_this_machine_are_addresses(url):
    assert check_url(url) == url


def test_files_are_found_beside_the_notify_file_and_read_when_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + "B" * 32)
    (tmp_path / "a.secret").write_text("whsec_" + "A" * 32 + "\n")
    (tmp_path / "hook.url").write_text("https://example.com/first\n")
    (tmp_path / "notify.yaml").write_text(
        "sinks: [{name: one, url-file: hook.url, secrets: [{file: a.secret}, {env: HOOK_SECRET}]}]\n"
    )
    (sink,) = read_notify(tmp_path / "notify.yaml").sinks
    assert sink.events == ALWAYS
    assert [len(key) for key in sink.signing_keys()] == [24, 24]
    (tmp_path / "hook.url").write_text("https://example.com/second\n")
    assert sink.address() == "https://example.com/second"


def test_a_file_that_breaks_later_tells_nobody_until_it_is_mended(tmp_path):
    path = tmp_path / "notify.yaml"
    assert watch_notify(path)().sinks == ()
    path.write_text("sinks: [{name: chat, format: markdown-chat, url: 'https://example.com/hook'}]\n")
    file = watch_notify(path)
    assert [sink.name for sink in file().sinks] == ["chat"]
    path.write_text("sinks: [{name: chat}]\n")
    assert file().sinks == ()
