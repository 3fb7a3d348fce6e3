"""A message as it is sent: a CloudEvent in structured JSON mode, or Markdown for a chat."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Final

from compliance.policy.wording import printable
from gate.notify.events import Data, Topic, subject_of
from gate.notify.markdown import in_markdown
from gate.notify.notify_file import Format, Sink
from gate.notify.tables import StoredDelivery

CLOUDEVENTS_JSON: Final = "application/cloudevents+json"
JSON: Final = "application/json"
ABOUT: Final = 200
"""Characters of what a list of messages says about each."""


def message(sink: Sink, topic: Topic, data: Data, at: datetime, source: str) -> StoredDelivery:
    """A new message to a sink. `source` is the URL of the gate."""
    id_ = f"msg_{secrets.token_hex(16)}"
    if sink.format is Format.MARKDOWN_CHAT:
        body, media_type = _json({"text": in_markdown(topic, data)}), JSON
    else:
        body, media_type = cloud_event(id_, topic, data, at, source), CLOUDEVENTS_JSON
    return StoredDelivery(
        id=id_,
        sink=sink.name,
        topic=topic.value,
        about=printable(subject_of(data) or topic.value)[:ABOUT],
        body=body,
        media_type=media_type,
        at=at,
        due=at,
    )


def cloud_event(id_: str, topic: Topic, data: Data, at: datetime, source: str) -> bytes:
    """An event after CloudEvents 1.0.2, section 3, in the JSON format of CloudEvents 1.0.2."""
    subject = subject_of(data) or None  # an empty one is none
    return _json(
        {
            "specversion": "1.0",
            "id": id_,
            "source": source,
            "type": topic.type,
            **({} if subject is None else {"subject": subject}),
            "time": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "datacontenttype": JSON,
            "data": data.model_dump(mode="json"),
        }
    )


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
