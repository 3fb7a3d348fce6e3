"""The reference page of the events that webhooks get, from their models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from gate.notify.events import DATA_OF, AffectedImage, Cause, Topic

_WHEN: Final = {
    Topic.PUSH_REFUSED: "A push was refused. Another push of the same image, with nothing changed, is not told.",
    Topic.IMAGE_DEADLINE: "An admitted image was found not to comply: it may be pulled until a moment.",
    Topic.IMAGE_DENIED: "An admitted image may be pulled no more: its deadline has passed, or it got none.",
    Topic.IMAGE_COMPLIES: "What had a deadline, or was denied, complies again.",
    Topic.WAIVER_EXPIRING: "A waiver expires within 14 days.",
    Topic.WAIVER_EXPIRED: "A waiver counts no more.",
    Topic.BASE_ENDING: "A base reaches its end of life within 90 days, and again within 30.",
    Topic.BASE_ENDED: "A base is past its end of life.",
    Topic.DIGEST: "The digest of a sink with `digest:`.",
    Topic.TEST: "`mlgate notify test` was run.",
}


def event_page() -> Iterator[str]:
    """The lines after the page's head."""
    yield "The body of a webhook is a CloudEvent 1.0 in structured JSON mode. `source` is the gate's `public-url`."
    yield "`id` is also the header `webhook-id`, and the same however often the event is sent. `subject` is"
    yield "`REPOSITORY@DIGEST` for one image, the repository for several of one, the cause (`data.cause.key`) for"
    yield "images of several repositories, else the waiver or the base.\n"
    yield "| type | when | `data` |\n|---|---|---|"
    for topic, data in DATA_OF.items():
        yield f"| `{topic.type}` | {_WHEN[topic]} | [{data.__name__}](#{data.__name__.lower()}) |"
    models: tuple[type[BaseModel], ...] = (*dict.fromkeys(DATA_OF.values()), Cause, AffectedImage)
    for model in models:
        yield f"\n## {model.__name__}\n"
        yield "| member | type | meaning |\n|---|---|---|"
        yield from _members(model)


def _members(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema(mode="serialization")
    for name, one in schema["properties"].items():
        yield f"| `{name}` | {_type(one)} | {one.get('description', '')} |"


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    return str(schema.get("format", schema["type"]))
