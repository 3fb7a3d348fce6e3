"""The log: one line an event, as JSON for programs or as text for people, each with the request it belongs to.

No line holds a password, a token, or the sealed part of an upload's address. None of them is logged anywhere;
what looks like one in the text of an error is blanked out besides.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO

from gate.telemetry.exchange import current

_SECRET: Final = re.compile(
    r"(?P<kept>\b(?:Bearer|Basic)\s+|\b(?:_upload|_state|password|secret|token)=)[^\s\"'&]+"
    r"|(?P<user>://[^/\s:@]*:)[^/\s@]+(?=@)",
    re.IGNORECASE,
)


class LogFormat(StrEnum):
    """`auto` is text on a terminal, and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def start_logging(form: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Write the log of this process to `stream` from now on."""
    text = form is LogFormat.TEXT or (form is LogFormat.AUTO and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines() if text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def fields(**named: Any) -> dict[str, dict[str, Any]]:
    """What a line says besides its message, for `extra=` of a logger's methods; None is left out."""
    return {"fields": {name: value for name, value in named.items() if value is not None}}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request, and what the event has besides."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        exchange = current()
        if exchange is not None:
            line["request"] = exchange.id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


class TextLines(logging.Formatter):
    """As a person reads it: time, level, message, and the request in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(sep=" ", timespec="milliseconds")
        exchange = current()
        request = "" if exchange is None else f" [{exchange.id}]"
        text = f"{moment} {record.levelname} {record.name}: {record.getMessage()}{request}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return without_secrets(text)


def without_secrets(text: str) -> str:
    """The text with what looks like a credential blanked out."""
    return _SECRET.sub(lambda found: f"{found['kept'] or found['user']}…", text)
