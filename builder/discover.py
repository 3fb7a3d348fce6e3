"""`mlbuild init`: a spec from what is in a project, with comments that say what each part does."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.foreign_locks import UV_LOCK
from builder.imports import Imports, Source, find_imports, read_sources
from builder.requirement_files import read_inputs
from builder.spec import SPEC_NAME, Spec
from compliance.document import parse_document, to_model
from compliance.errors import InvalidInput

DEFAULT_BASE: Final = "python3.11-slim"
PORT: Final = 8080

_NOT_FOR_IMAGES: Final = re.compile(r"(dev|test|tests|testing|doc|docs|lint|ci|build)")
_ENVIRONMENTS: Final = ("environment.yml", "environment.yaml")
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
_MODEL_SUFFIXES: Final = (
    *(".skops", ".onnx", ".safetensors", ".gguf", ".ubj", ".keras", ".h5"),
    *(".pkl", ".pickle", ".joblib", ".pt", ".pth"),
)
_PICKLES: Final = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
_MODEL_FOLDERS: Final = ("model", "models", "artifacts", "weights")
_WEB_APPS: Final = {"FastAPI": "fastapi", "Starlette": "starlette", "Flask": "flask"}
_SCRIPTS: Final[tuple[str, ...]] = ("main.py", "app.py", "serve.py", "server.py", "train.py", "run.py")


@dataclass(frozen=True, slots=True)
class Discovery:
    """A spec's text, and in a sentence each what was guessed and what to look at."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Program:
    """What to run. `framework` is set for a web application."""

    command: tuple[str, ...]
    framework: str | None = None


def discover(directory: Path, base: str = DEFAULT_BASE) -> Discovery:
    """Propose a spec for the project in `directory`. Nothing is written."""
    directory = directory.resolve()
    sources, notes = read_sources(directory)
    found = list(notes)
    imports = find_imports(sources, directory)
    files = _requirement_files(directory, found)
    program = _program(sources, found)
    serves = program is not None and program.framework is not None
    stage = "serving" if serves else "training"
    image = f"{stage}/{_word(directory.name)}"
    found.append(f"image: {image}, after the folder; change it to the repository you may push to")
    parts = [
        _HEAD,
        f"image: {image}\n",
        _BASE.format(base=base),
        _STAGE.format(stage=stage),
        _needs(files, imports, program, found),
        _app(directory, sources, serves, found),
        _runs(program, found),
    ]
    text = "\n".join(parts)
    spec = to_model(parse_document(text.encode(), directory / SPEC_NAME), Spec)
    if files:
        found.extend(_not_required(spec, directory, imports))
    return Discovery(text, tuple(found))


_HEAD: Final = """\
# What goes into the image, and how it runs. `mlbuild` does the rest:
# lock, check, build, scan, check again. `mlbuild push` sends it through the gate.

# Repository in the registry: lower case, no registry, no tag."""

_BASE: Final = """\
# The curated image underneath. `mlbuild base list` shows which there are.
base: {base}
"""

_STAGE: Final = """\
# What the image is for. Policies go by it: serving is stricter than training.
stage: {stage}
"""

_ENV: Final = """\
# Settings, never secrets: those are given when the container starts.
# env: {LOG_LEVEL: info}
"""


def _needs(files: Sequence[str], imports: Imports, program: _Program | None, notes: list[str]) -> str:
    if files:
        notes.append(f"requirements: {', '.join(files)}")
        return (
            "# What to install. `mlbuild lock` pins it, with everything that comes along, in pylock.toml.\n"
            f"requirements: {_flow(files)}\n"
        )
    wanted = dict(imports.known)
    if program is not None and program.command[0] == "uvicorn":
        wanted.setdefault("uvicorn", "the command below")
    lines = ["# What to install, guessed from the imports. Add versions you rely on, such as numpy>=2."]
    lines.append("dependencies:" if wanted else "dependencies: []")
    lines.extend(f"  - {_scalar(name)}  # {source}" for name, source in sorted(wanted.items()))
    for name, source in sorted(imports.unknown.items()):
        lines.append(f"  # - {name}  # imported by {source}: is this its name on the index?")
    notes.append(f"dependencies: {len(wanted)} guessed from imports, without versions")
    if imports.unknown:
        notes.append(f"not guessed, since the names are not well known: {', '.join(sorted(imports.unknown))}")
    return "\n".join(lines) + "\n"


def _requirement_files(directory: Path, notes: list[str]) -> list[str]:
    found = sorted(path.name for path in directory.glob("requirements*.txt"))
    files = [name for name in found if not _NOT_FOR_IMAGES.search(name.removeprefix("requirements"))]
    left = [name for name in found if name not in files]
    if left:
        notes.append(f"left out, since an image does not need them: {', '.join(left)}")
    if _has_dependencies(directory / "pyproject.toml", notes):
        if not files:
            files = [UV_LOCK if (directory / UV_LOCK).is_file() else "pyproject.toml"]
        else:
            notes.append(f"pyproject.toml lists dependencies too; the spec goes by {', '.join(files)}")
    environment = next((name for name in _ENVIRONMENTS if (directory / name).is_file()), None)
    if environment is not None and files:
        notes.append(f"{environment} lists dependencies too; the spec goes by {', '.join(files)}")
    elif environment is not None:
        notes.append(f"{environment}: its pip part is what counts; packages of conda cannot go into an image")
        files = [environment]
    return files


def _has_dependencies(path: Path, notes: list[str]) -> bool:
    if not path.is_file():
        return False
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        notes.append(f"pyproject.toml cannot be read: {error}")
        return False
    return isinstance(project, dict) and bool(project.get("dependencies"))


def _app(directory: Path, sources: Iterable[Source], serves: bool, notes: list[str]) -> str:
    patterns: list[str] = []
    if any(len(source.path.parts) == 1 and source.path.suffix == ".py" for source in sources):
        patterns.append("*.py")
    if not serves and any(source.path.suffix == ".ipynb" for source in sources):
        patterns.append("**/*.ipynb")
    folders = {source.path.parts[0] for source in sources if len(source.path.parts) > 1}
    folders |= {name for name in _MODEL_FOLDERS if (directory / name).is_dir()}
    patterns += [f"{name}/**" for name in sorted(folders) if not _NOT_FOR_IMAGES.fullmatch(name)]
    models = [path for path in directory.iterdir() if path.is_file() and path.suffix in _MODEL_SUFFIXES]
    patterns += sorted({f"*{path.suffix}" for path in models})
    pickles = sorted(path.name for path in models if path.suffix in _PICKLES)
    if pickles:
        notes.append(f"{', '.join(pickles)}: loading a pickle runs code; policies for serving refuse it")
    left = sorted(path.name for path in directory.glob(".env*"))
    if left:
        notes.append(f"left out, since it looks like secrets: {', '.join(left)}")
    return (
        "# Which files of the project go to /app in the image.\n"
        f'app:\n  include: {_flow(patterns or ["**"])}\n  # exclude: ["tests/**"]\n'
    )


def _program(sources: Iterable[Source], notes: list[str]) -> _Program | None:
    top = [source for source in sources if len(source.path.parts) == 1 and source.path.suffix == ".py"]
    for source in top:
        found = _web_app(source)
        if found is not None:
            notes.append(f"command: {source.path} holds a {found.framework} application")
            return found
    names = {source.path.name for source in top}
    candidates = [name for name in _SCRIPTS if name in names] or (list(names) if len(names) == 1 else [])
    script = next(iter(candidates), None)
    if script is not None:
        notes.append(f"command: a guess, after the name of {script}")
        return _Program(("python", script))
    return None


def _web_app(source: Source) -> _Program | None:
    """The web application that a script makes at its top level, and how to start it."""
    starts_itself = any(_is_main_guard(node) for node in source.tree.body)
    for node in source.tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        made, target = node.value.func, node.targets[0]
        kind = made.id if isinstance(made, ast.Name) else made.attr if isinstance(made, ast.Attribute) else ""
        if kind not in _WEB_APPS or not isinstance(target, ast.Name):
            continue
        framework = _WEB_APPS[kind]
        place = f"{source.path.stem}:{target.id}"
        if starts_itself:
            return _Program(("python", source.path.name), framework)
        if framework == "flask":
            return _Program(("flask", "--app", place, "run", "--host", "0.0.0.0", "--port", str(PORT)), framework)  # noqa: S104
        return _Program(("uvicorn", place, "--host", "0.0.0.0", "--port", str(PORT)), framework)  # noqa: S104
    return None


def _is_main_guard(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def _runs(program: _Program | None, notes: list[str]) -> str:
    if program is None:
        notes.append("command: nothing looked like the program to run, so fill it in")
        return "# What runs, as a list: no shell reads it.\n# command: [python, train.py]\n"
    lines = ["# What runs, as a list: no shell reads it.", f"command: {_flow(program.command)}"]
    if program.framework is not None:
        lines.append(f"ports: [{PORT}]")
    lines += [
        "",
        "# Settings, never secrets: those are given when the container starts.",
        "# env: {LOG_LEVEL: info}",
    ]
    return "\n".join(lines) + "\n"


def _not_required(spec: Spec, directory: Path, imports: Imports) -> list[str]:
    """Well-known imports that no requirement names."""
    try:
        asked = read_inputs(spec, directory / SPEC_NAME).asked
    except InvalidInput as error:
        return [error.message]
    names = {item.name for item in asked}
    known = dict(imports.known)
    if spec.command is not None and spec.command[0] == "uvicorn":
        known.setdefault("uvicorn", "the command")
    missing = {
        name: source for name, source in known.items() if canonicalize_name(Requirement(name).name) not in names
    }
    return [
        f"{source} needs {name}, which no requirement names; it may come along with another"
        for name, source in sorted(missing.items())
    ]


def _word(name: str) -> str:
    return _NOT_A_WORD.sub("-", name.lower()).strip("-") or "project"


def _flow(items: Sequence[str]) -> str:
    return f"[{', '.join(_scalar(item) for item in items)}]"


def _scalar(text: str) -> str:
    """Plain where every YAML reader takes it for the same text, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./-]*", text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


_YAML_WORDS: Final = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "."}
