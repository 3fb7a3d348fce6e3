"""Questions as API servers ask them, in data/, and beside each the answer: what people see and what is logged."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
PATHS = {folder.name: folder.name.replace("-", "/", 1) for folder in DATA.iterdir() if folder.is_dir()}
QUESTIONS = sorted(
    path for folder in PATHS for path in (DATA / folder).glob("*.json") if not path.stem.endswith(".answer")
)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_question_is_answered_as_the_file_beside_it_says(unchanged_site, question):
    answer = unchanged_site.ask(PATHS[question.parent.name], question.read_bytes())
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    found = answer.json()
    if "patch" in found["response"]:
        found["response"]["patch"] = json.loads(base64.b64decode(found["response"]["patch"], validate=True))
    assert found["response"].pop("uid") == json.loads(question.read_text())["request"]["uid"]
    expected = question.with_name(f"{question.stem}.answer.json")
    assert found == json.loads(expected.read_text())
