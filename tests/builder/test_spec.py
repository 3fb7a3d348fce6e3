import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.spec import App, Spec, find_spec, read_spec, spec_schema
from compliance.errors import InvalidInput

BAD = sorted((Path(__file__).parent / "data" / "spec-bad").glob("*.yaml"))
LEAST = "image: serving/iris\nbase: python3.11-slim\ndependencies: []\n"


def test_reads_every_key(tmp_path: Path) -> None:
    path = tmp_path / "mlbuild.yaml"
    path.write_text(
        LEAST
        + "stage: serving\n"
        + "requirements: [requirements.txt, pyproject.toml]\n"
        + 'app: {include: ["*.py"], exclude: [test_*.py]}\n'
        + "entrypoint: [python]\n"
        + "command: [app.py]\n"
        + 'env: {PORT: "8080"}\n'
        + "ports: [8080, 53/udp]\n"
        + "labels: {org.opencontainers.image.title: iris}\n"
        + 'user: "65532:65532"\n'
    )
    assert read_spec(path) == Spec(
        image="serving/iris",
        base="python3.11-slim",
        stage="serving",
        requirements=("requirements.txt", "pyproject.toml"),
        dependencies=(),
        app=App(include=("*.py",), exclude=("test_*.py",)),
        entrypoint=("python",),
        command=("app.py",),
        env={"PORT": "8080"},
        ports=("8080/tcp", "53/udp"),
        labels={"org.opencontainers.image.title": "iris"},
        user="65532:65532",
    )


def test_what_is_left_out_has_sensible_values(tmp_path: Path) -> None:
    path = tmp_path / "mlbuild.yaml"
    path.write_text(LEAST)
    spec = read_spec(path)
    assert spec.app.include == ("**",)
    assert (spec.user, spec.command, spec.entrypoint, spec.stage) == (None, None, None, None)


def test_a_numeric_user_needs_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "mlbuild.yaml"
    path.write_text(LEAST + "user: 1000\n")
    assert read_spec(path).user == "1000"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path: Path) -> None:
    expected = re.match(r"# expected: (\d+): (.*)", path.read_text())
    assert expected is not None
    with pytest.raises(InvalidInput) as failure:
        read_spec(path)
    assert failure.value.message.startswith(f"{path}:{expected[1]}: {expected[2]}")


def test_every_mistake_is_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mlbuild.yaml"
    path.write_text("image: A\nbase: b\nports: [0]\ndependencies: []\n")
    with pytest.raises(InvalidInput) as failure:
        read_spec(path)
    assert [line.split(" ")[0] for line in failure.value.message.splitlines()] == [f"{path}:1:", f"{path}:3:"]


def test_a_missing_spec_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_spec(tmp_path / "mlbuild.yaml")


def test_finds_the_nearest_spec_above(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "src" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "mlbuild.yaml").write_text(LEAST)
    nearest = tmp_path / "project" / "mlbuild.yaml"
    nearest.write_text(LEAST)
    assert find_spec(inner) == nearest


def test_without_a_spec_init_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as failure:
        find_spec(tmp_path)
    assert failure.value.remedy is not None
    assert "mlbuild init" in failure.value.remedy


def test_the_schema_has_every_key_and_allows_no_other() -> None:
    schema = spec_schema()
    assert set(schema["properties"]) == {field.alias or name for name, field in Spec.model_fields.items()}
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["image", "base"]


@given(st.text(max_size=30))
def test_patterns_never_lead_out_of_the_project(pattern: str) -> None:
    try:
        app = App.model_validate({"include": [pattern]})
    except ValueError:
        return
    assert not pattern.startswith("/")
    assert ".." not in app.include[0].split("/")
