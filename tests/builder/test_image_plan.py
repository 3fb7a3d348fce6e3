"""The plan of an image tells what a build then makes, and what a registry then has."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.cache import Cache
from builder.cli import main
from builder.fetch import Artifact, fetch
from builder.image import app_layer
from builder.layer_plan import ImagePlan, Part, plan_image
from builder.layers.app import AppInput
from builder.layers.inputs import Environment, WheelInput
from builder.lock import lock_project
from builder.lockfile import LockFile
from builder.progress import Quiet
from builder.spec import Spec, read_spec
from builder.wheel_layers import make_wheel_layers
from builder.wheel_plan import LayerRules, settled_plan
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient
from tests.builder.test_lock_project import NOW
from tests.builder.wheel_index import make_wheel, serve_index
from tests.compliance.oci.conftest import start_registry  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]


class Project:
    """A small project that is locked against an index of its own."""

    def __init__(self, root: Path, index_url: str) -> None:
        self.cache = Cache(root / "cache")
        self.root = root / "project"
        self.root.mkdir()
        (self.root / "app.py").write_text("print()\n")
        path = self.root / "mlbuild.yaml"
        path.write_text(
            "image: serving/demo\nbase: python3.11-slim\ndependencies: [first, second]\napp: {include: [app.py]}\n"
        )
        self.spec: Spec = read_spec(path)
        self.base: BaseDefinition = find_base(read_bases(ROOT / "base-images"), self.spec.base, "amd64")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_DEFAULT_INDEX": index_url,
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.lock: LockFile = lock_project(
            self.spec, path, self.base, self.cache, Quiet(), now=NOW, environment=environment
        )

    @property
    def app(self) -> AppInput:
        return AppInput(self.root, self.spec.app.include)

    def plan(self) -> ImagePlan:
        return plan_image(self.spec, self.base, self.lock, self.app, self.cache)

    def make(self) -> set[Digest]:
        """Make the layers above the base, as a build does."""
        artifacts = [Artifact(wheel.url, wheel.sha256, wheel.size, wheel.name) for wheel in self.lock.wheels]
        files = fetch(artifacts, self.cache, Quiet())
        wheels = [
            WheelInput(files[wheel.sha256], wheel.name, wheel.version, wheel.sha256, wheel.direct)
            for wheel in self.lock.wheels
        ]
        rules = LayerRules(1, Environment(self.base.prefix, self.base.python))
        layers = make_wheel_layers(settled_plan(wheels, rules, self.cache), self.cache, Quiet())
        own = app_layer(self.app, self.cache, Quiet())
        assert own is not None
        return {layer.descriptor.digest for layer in layers} | {own.descriptor.digest}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    files = tmp_path / "files"
    files.mkdir()
    make_wheel(files, "first", requires=["third"])
    make_wheel(files, "second")
    make_wheel(files, "third")
    with serve_index(files) as index:
        yield Project(tmp_path, index.url)


def test_plan_names_everything_before_anything_is_there(project: Project) -> None:
    plan = project.plan()
    assert plan.layers[0].part is Part.BASE
    assert plan.layers[-1].part is Part.PROJECT
    wheels = [name for layer in plan.layers if layer.part is Part.WHEELS for name in layer.contents]
    assert sorted(wheels) == ["first 1.0", "second 1.0", "third 1.0"]
    assert not plan.settled
    assert not any(layer.cached for layer in plan.layers)
    sizes = sum(layer.size or 0 for layer in plan.layers if layer.part is Part.WHEELS)
    assert sizes == project.lock.size
    assert not any((project.cache.root / name).exists() for name in ("records/trees", "partial"))


def test_plan_is_what_a_build_makes(project: Project) -> None:
    before = project.plan()
    made = project.make()
    after = project.plan()
    assert after.settled
    assert {layer.digest for layer in after.layers if layer.part is not Part.BASE} == made
    assert [(layer.part, layer.contents) for layer in after.layers] == [
        (layer.part, layer.contents) for layer in before.layers
    ]


def test_changed_project_changes_its_layer_in_the_plan(project: Project) -> None:
    project.make()
    (project.root / "app.py").write_text("print('changed')\n")
    assert [layer.part for layer in project.plan().layers if not layer.cached] == [Part.BASE, Part.PROJECT]


@pytest.mark.acceptance
def test_registry_is_asked_for_what_is_cached(project: Project, start_registry) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    project.make()
    data = project.cache.path(project.plan().layers[-1].digest or Digest.of(b"")).read_bytes()
    with RegistryClient(start_registry()) as client:
        client.push_blob("serving/demo", Digest.of(data), len(data), lambda: io.BytesIO(data))
        layers = project.plan().ask(client).layers
    assert layers[0].in_registry is None
    assert [layer.in_registry for layer in layers[1:]] == [*[False] * (len(layers) - 2), True]


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `mlbuild plan` in the project, with its cache."""
    monkeypatch.setenv("MLBUILD_CACHE", str(project.cache.root))

    def plan(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["-C", str(project.root), "plan", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return plan


def test_command_shows_the_layers(project: Project, run: Callable[..., str]) -> None:
    said = run()
    assert "first 1.0" in said
    assert "a wheel over 2 GB is split once it is downloaded" in said
    project.make()
    said = run()
    assert "split" not in said
    assert "1 to make from" in said


def test_command_answers_in_json(project: Project, run: Callable[..., str]) -> None:
    project.make()
    (image,) = json.loads(run("--json"))["images"]
    assert (image["platform"], image["image"], image["settled"]) == ("linux/amd64", "serving/demo", True)
    assert [layer["cached"] for layer in image["layers"]] == [False, *[True] * (len(image["layers"]) - 1)]
    assert {layer["in_registry"] for layer in image["layers"]} == {None}
