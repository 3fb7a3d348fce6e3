"""Messages in Markdown, for chats.

What comes from pushes and files stands in code spans: nothing in it becomes a link, a mention or a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from compliance.policy.wording import count
from gate.notify.events import AffectedImage, BaseData, Data, DigestData, ImagesData, Topic, WaiverData

SHOWN: Final = 10
"""How many images a message in a chat lists."""

_LONGEST: Final = 240
_QUOTES: Final = str.maketrans("<>", "‹›")
"""Some chats read `<!channel>` and links in angles within code too, others show escapes of them as they are."""

_HEADLINES: Final = {
    Topic.PUSH_REFUSED: "refused",
    Topic.IMAGE_DEADLINE: "no longer comply",
    Topic.IMAGE_DENIED: "may no longer be pulled",
    Topic.IMAGE_COMPLIES: "comply again",
}


def in_markdown(topic: Topic, data: Data) -> str:
    """The whole text."""
    if isinstance(data, DigestData):
        return data.markdown
    if isinstance(data, ImagesData):
        return "\n".join(_images(topic, data))
    if isinstance(data, WaiverData):
        return "\n".join(_waiver(data))
    if isinstance(data, BaseData):
        return "\n".join(_base(data))
    return data.message


def code(text: str) -> str:
    """Text of others as a code span, on one line and not too long."""
    plain = "".join(character if character.isprintable() else " " for character in text.replace("`", "'"))
    cut = plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
    return f"`{cut.translate(_QUOTES).strip() or '-'}`"


def _images(topic: Topic, data: ImagesData) -> Iterator[str]:
    what = "push" if topic is Topic.PUSH_REFUSED else "image"
    plural = f"{data.total} {what}{'' if data.total == 1 else 'es' if what == 'push' else 's'}"
    owner = f" (owner {code(data.owner)})" if data.owner else ""
    said = _HEADLINES[topic]
    if data.total == 1:
        said = {"comply again": "complies again", "no longer comply": "no longer complies"}.get(said, said)
    yield f"**{plural} {said}**: {code(data.cause.rule)}, {code(data.cause.key)}{owner}"
    yield code(data.cause.message)
    if topic is not Topic.IMAGE_COMPLIES:
        yield f"What to do: {code(data.cause.fix)}"
    for image in data.images[:SHOWN]:
        yield _image(image)
    if data.total > SHOWN:
        yield f"- and {data.total - SHOWN} more"


def _image(image: AffectedImage) -> str:
    name = f"{image.repository}:{image.tag}" if image.tag else f"{image.repository}@{image.digest[:19]}"
    until = f", until {image.pullable_until:%Y-%m-%d %H:%M} UTC" if image.pullable_until else ""
    return f"- {code(name)}{until}: {image.report}"


def _waiver(data: WaiverData) -> Iterator[str]:
    day = f"{data.expires:%Y-%m-%d}"
    when = f"expires on {day}, in {count(data.days_left, 'day')}" if data.days_left >= 0 else f"expired on {day}"
    yield f"**Waiver {code(data.waiver)} {when}** (owner {code(data.owner)})"
    yield f"It excuses {code(data.rule)} in {count(data.total, 'image')}: {code(data.reason)}"
    for repository in data.repositories[:SHOWN]:
        yield f"- {code(repository)}"
    if len(data.repositories) > SHOWN:
        yield f"- and {len(data.repositories) - SHOWN} more"


def _base(data: BaseData) -> Iterator[str]:
    day = f"{data.end_of_life:%Y-%m-%d}"
    when = f"reaches its end of life on {day}, in {count(data.days_left, 'day')}"
    if data.days_left < 1:
        when = f"is past its end of life since {day}"
    yield f"**Base {code(data.base)} {when}** (owner {code(data.owner)})"
    yield "Images on it are refused where a rule asks for a base that is looked after. Lock them on another."
