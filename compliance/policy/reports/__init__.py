"""A decision for each reader: a terminal, a pull request, a registry client, a program."""

from compliance.policy.reports.line import one_line
from compliance.policy.reports.markdown import to_markdown
from compliance.policy.reports.stored import from_json, to_json
from compliance.policy.reports.terminal import render

__all__ = ["from_json", "one_line", "render", "to_json", "to_markdown"]
