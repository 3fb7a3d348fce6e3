"""A decision for each reader: a terminal, a pull request, a code host, a CI server, a browser, a program."""

from compliance.policy.reports.annotations import Level, annotation, to_annotations
from compliance.policy.reports.junit import to_junit
from compliance.policy.reports.line import one_line
from compliance.policy.reports.markdown import to_markdown
from compliance.policy.reports.page import to_html
from compliance.policy.reports.places import Place, PlacesOf, nowhere, within
from compliance.policy.reports.sarif import to_sarif
from compliance.policy.reports.stored import from_json, to_json
from compliance.policy.reports.terminal import render

__all__ = [
    "Level",
    "Place",
    "PlacesOf",
    "annotation",
    "from_json",
    "nowhere",
    "one_line",
    "render",
    "to_annotations",
    "to_html",
    "to_json",
    "to_junit",
    "to_markdown",
    "to_sarif",
    "within",
]
