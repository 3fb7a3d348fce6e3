import json
from pathlib import Path

import pytest

from builder.discover import discover
from builder.spec import Spec, read_spec

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def _spec(directory: Path) -> Spec:
    path = directory / "mlbuild.yaml"
    path.write_text(discover(directory).text)
    return read_spec(path)


def _notebook(*cells: str) -> str:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "# import nothing"}, *code], "nbformat": 4})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "My Iris_Project"
    directory.mkdir()
    return directory


def test_an_empty_folder_gives_a_spec_to_fill_in(project: Path) -> None:
    spec = _spec(project)
    assert (spec.image, spec.base, spec.stage) == ("training/my-iris-project", "python3.11-slim", "training")
    assert (spec.dependencies, spec.command) == ((), None)
    assert any("fill it in" in note for note in discover(project).notes)


def test_nothing_is_written(project: Path) -> None:
    discover(project)
    assert list(project.iterdir()) == []


def test_requirement_files_for_development_stay_out(project: Path) -> None:
    for name in ("requirements.txt", "requirements-gpu.txt", "requirements-dev.txt", "requirements_test.txt"):
        (project / name).write_text("numpy\n")
    assert _spec(project).requirements == ("requirements-gpu.txt", "requirements.txt")
    assert any("requirements-dev.txt, requirements_test.txt" in note for note in discover(project).notes)


def test_pyproject_is_used_where_it_is_all_there_is(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["numpy"]\n')
    assert _spec(project).requirements == ("pyproject.toml",)
    (project / "requirements.txt").write_text("numpy\n")
    assert _spec(project).requirements == ("requirements.txt",)
    assert any("pyproject.toml lists dependencies too" in note for note in discover(project).notes)


def test_a_uv_lock_is_followed(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["numpy"]\n')
    (project / "uv.lock").write_text(
        'version = 1\n[[package]]\nname = "x"\nversion = "1"\nsource = { virtual = "." }\n'
        '[package.metadata]\nrequires-dist = [{ name = "numpy" }]\n'
    )
    assert _spec(project).requirements == ("uv.lock",)


def test_an_environment_of_conda_is_read_where_it_is_all_there_is(project: Path) -> None:
    (project / "environment.yml").write_text("dependencies:\n  - pandas\n  - pip: [numpy]\n")
    assert _spec(project).requirements == ("environment.yml",)
    notes = " ".join(discover(project).notes)
    assert "pandas is for conda, and images are made of wheels: put `pandas` under pip" in notes
    (project / "requirements.txt").write_text("numpy\n")
    assert _spec(project).requirements == ("requirements.txt",)
    assert any("environment.yml lists dependencies too" in note for note in discover(project).notes)


def test_a_pyproject_without_dependencies_says_nothing(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.ruff]\n")
    assert _spec(project).requirements is None


def test_imports_become_dependencies(project: Path) -> None:
    (project / "train.py").write_text(
        "import os, json\nimport sklearn.linear_model\nfrom PIL import Image\nimport yaml, cv2\n"
        "from google.cloud import storage\nimport features\nimport corp_secret_lib\n"
    )
    (project / "features.py").write_text("import bs4\nfrom . import nothing\n")
    spec = _spec(project)
    assert spec.dependencies == (
        "Pillow",
        "PyYAML",
        "beautifulsoup4",
        "google-cloud-storage",
        "opencv-python-headless",
        "scikit-learn",
    )
    assert spec.command == ("python", "train.py")


def test_a_name_that_is_not_well_known_is_never_installed_unasked(project: Path) -> None:
    (project / "train.py").write_text("import corp_secret_lib\n")
    found = discover(project)
    assert "  # - corp_secret_lib" in found.text
    assert any("corp_secret_lib" in note for note in found.notes)
    assert _spec(project).dependencies == ()


def test_notebooks_are_read_with_their_magic(project: Path) -> None:
    (project / "train.ipynb").write_text(
        _notebook(
            "%matplotlib inline\n!ls\nimport pandas as pd",
            "%pip install -q 'x' tqdm==4.66.1 ./local",
            "%%bash\nimport torch",
            "if True:\n    !echo hi\npd.DataFrame?",
            "import xgboost",
        )
    )
    spec = _spec(project)
    assert spec.dependencies == ("pandas", "tqdm==4.66.1", "xgboost")
    assert spec.app.include == ("**/*.ipynb",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old.py", "print 'hello'\n"),
        ("broken.ipynb", "{"),
        ("ancient.ipynb", '{"worksheets": []}'),
        ("latin.py", b"# \xe9\n"),
    ],
)
def test_what_cannot_be_read_is_said(project: Path, name: str, text: str | bytes) -> None:
    (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert any(note.startswith(name) for note in discover(project).notes)


def test_virtual_environments_are_not_the_project(project: Path) -> None:
    (project / "myenv" / "lib").mkdir(parents=True)
    (project / "myenv" / "pyvenv.cfg").touch()
    (project / "myenv" / "lib" / "torch.py").write_text("import numpy\n")
    assert _spec(project).dependencies == ()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (FASTAPI, ("uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8080")),  # noqa: S104
        (FASTAPI + "if __name__ == '__main__':\n    pass\n", ("python", "app.py")),
        (
            "import flask\nserver = flask.Flask(__name__)\n",
            ("flask", "--app", "app:server", "run", "--host", "0.0.0.0", "--port", "8080"),  # noqa: S104
        ),
    ],
)
def test_a_web_application_is_served(project: Path, text: str, command: tuple[str, ...]) -> None:
    (project / "app.py").write_text(text)
    (project / "model").mkdir()
    spec = _spec(project)
    assert (spec.command, spec.ports, spec.stage) == (command, ("8080/tcp",), "serving")
    assert spec.app.include == ("*.py", "model/**")


def test_uvicorn_is_asked_for_when_the_command_needs_it(project: Path) -> None:
    (project / "app.py").write_text(FASTAPI)
    assert _spec(project).dependencies == ("fastapi", "uvicorn")
    (project / "requirements.txt").write_text("fastapi\n")
    assert any("needs uvicorn, which no requirement names" in note for note in discover(project).notes)


def test_pickles_and_secrets_are_pointed_out(project: Path) -> None:
    (project / "model.pkl").touch()
    (project / ".env").touch()
    found = discover(project)
    assert any(note.startswith("model.pkl: loading a pickle runs code") for note in found.notes)
    assert any(note.endswith("looks like secrets: .env") for note in found.notes)


def test_names_that_yaml_would_misread_are_quoted(project: Path) -> None:
    (project / "on").mkdir()
    (project / "on" / "x.py").touch()
    (project / "1e3").mkdir()
    (project / "1e3" / "y.py").touch()
    assert _spec(project).app.include == ("1e3/**", "on/**")
