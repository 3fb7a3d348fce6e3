"""Strict YAML: the 1.2 core schema by ruamel.yaml, narrowed to what people mean when they write configuration.

No duplicate keys, no anchors, aliases, merge keys, tags or directives, mappings with string keys only, no
value that YAML 1.1 and 1.2 read differently (`no`, `on`, `012`, `1_000`) unless it is quoted, and no
character that makes a reviewer see other text than the program does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    DirectiveToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    TagToken,
    Token,
)

from compliance.errors import InvalidInput, Location

MAX_DEPTH: Final = 32

Place = tuple[str | int, ...]
"""The keys that lead to a value."""

_YAML_1_1_ONLY: Final = re.compile(
    r"(?i:y|n|yes|no|on|off)"
    r"|[-+]?0[0-7_]+|[-+]?0o[0-7]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+"  # octal, binary, base 60
    r"|[-+]?[0-9][0-9._]*_[0-9._]*|[-+]?0x[0-9a-fA-F]*_[0-9a-fA-F_]*|[-+]?[0-9]+[eE][-+]?[0-9]+"
)
_DECEPTIVE: Final = re.compile("[\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TOO_DEEP: Final = (f"is nested deeper than {MAX_DEPTH} levels", None)
_QUESTION: Final = ("keys are plain words here", "Quote what begins with `?`.")
_OPENING: Final = (FlowSequenceStartToken, FlowMappingStartToken, BlockSequenceStartToken, BlockMappingStartToken)
_CLOSING: Final = (FlowSequenceEndToken, FlowMappingEndToken, BlockEndToken)
_REFUSED: Final[dict[type[Token], tuple[str, str | None]]] = {
    AnchorToken: ("anchors and aliases are not used here", "Write the value out in full."),
    AliasToken: ("anchors and aliases are not used here", "Write the value out in full."),
    TagToken: ("tags are not used here", "Leave out the word that begins with `!`."),
    DirectiveToken: ("directives are not used here", "Leave out the line that begins with `%`."),
}


def parse_yaml(raw: bytes, path: Path) -> tuple[Any, dict[Place, int]]:
    """Plain data, and the line of each part of it. `path` is for messages.

    Raises InvalidInput, with the line, for anything doubtful.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidInput("is not UTF-8 text", at=Location(path, line)) from error
    if deceptive := _DECEPTIVE.search(text):
        at = Location(path, text[: deceptive.start()].count("\n") + 1)
        name = f"U+{ord(deceptive[0]):04X}"
        raise InvalidInput(f"holds the invisible character {name}", at=at, remedy="Delete it.")
    node = _compose(text, path)
    if node is None:
        return None, {(): 1}
    lines: dict[Place, int] = {}
    return _Reader(path, lines).value(node, ()), lines


def _compose(text: str, path: Path) -> Node | None:
    try:
        depth = 0
        for token in YAML(typ="safe", pure=True).scan(text):
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            refused = _REFUSED.get(type(token))
            if isinstance(token, KeyToken) and text.startswith("?", token.start_mark.index):
                refused = _QUESTION
            if depth > MAX_DEPTH:
                refused = _TOO_DEEP
            if refused:
                raise InvalidInput(refused[0], at=Location(path, token.start_mark.line + 1), remedy=refused[1])
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
        if len(marks) > 1 and marks[0].index >= len(text.rstrip()):
            marks.reverse()  # what was opened and not closed is better shown where it was opened
        at = Location(path, marks[0].line + 1 if marks else None)
        raise InvalidInput(f"is not valid YAML: {error.problem or error.context}", at=at) from error
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise InvalidInput("holds a control character", at=Location(path, line)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"is not valid YAML: {error}", at=Location(path)) from error
    return node


class _Reader:
    """Turns composed nodes into plain data and notes the line of each."""

    def __init__(self, path: Path, lines: dict[Place, int]) -> None:
        self._path = path
        self._lines = lines

    def value(self, node: Node, at: Place) -> Any:
        self._lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, at)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*at, index)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        raise self._error("holds something that is not a mapping, a list or a value", node)

    def _mapping(self, node: MappingNode, at: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.value == "<<":
                raise self._error("keys are plain words here", key_node)
            key = self._scalar(key_node)
            if not isinstance(key, str):
                raise self._error("keys are plain words here", key_node, "Quote it.")
            if key in result:
                raise self._error(f"{key!r} stands twice", key_node, "Keep one of the two.")
            self._lines[*at, key] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*at, key))
        return result

    def _scalar(self, node: ScalarNode) -> Any:
        text = node.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self._error("holds half of a surrogate pair, which is no character", node)
        tag = str(node.ctag) if node.ctag is not None else ""
        if node.style is not None or tag.endswith(":str"):
            if node.style is None and _YAML_1_1_ONLY.fullmatch(text):
                raise self._error(
                    f"{text!r} means different things to different YAML readers",
                    node,
                    f'Write true or false, or quote it: "{text}".',
                )
            return text
        for kind, convert in _SCALARS.items():
            if tag.endswith(kind):
                if _YAML_1_1_ONLY.fullmatch(text):
                    raise self._error(f"{text!r} is read differently by different YAML readers", node, "Quote it.")
                try:
                    return convert(text)
                except ValueError as error:
                    raise self._error(f"{text!r} is not a number that can be used here", node) from error
        raise self._error(f"unknown kind of value {text!r}", node, "Quote it.")

    def _error(self, message: str, node: Node, remedy: str | None = None) -> InvalidInput:
        return InvalidInput(message, at=Location(self._path, node.start_mark.line + 1), remedy=remedy)


def _integer(text: str) -> int:
    return int(text.replace("_", ""), 0)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


_SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    ":null": lambda text: None,  # noqa: ARG005 - the table's signature
    ":bool": lambda text: text.lower() == "true",
    ":int": _integer,
    ":float": _finite,
    ":timestamp": str,
}
