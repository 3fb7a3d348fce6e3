"""conda's environment.yml as input."""

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from builder.conda import read_environment
from builder.requirement_files import read_inputs
from builder.spec import Spec
from compliance.errors import InvalidInput

BAD = sorted((Path(__file__).parent / "data" / "conda-bad").glob("*.yml"))


def spec(*files: str) -> Spec:
    return Spec(image="a/b", base="c", requirements=files)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path: Path, tmp_path: Path) -> None:
    expected = re.match(r"# expected: (\d+): (.*)", path.read_text())
    assert expected is not None
    (tmp_path / "environment.yml").write_text(path.read_text())
    with pytest.raises(InvalidInput) as failure:
        read_inputs(spec("environment.yml"), tmp_path / "mlbuild.yaml")
    assert failure.value.message.startswith(f"{tmp_path}/environment.yml:{expected[1]}: {expected[2]}")


def test_the_pip_part_is_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "environment.yml").write_text(
        "name: x\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
        "      - tqdm>=4\n      - -r more.txt\n      - --extra-index-url https://me:token@index.invalid/simple\n"
    )
    (tmp_path / "env" / "more.txt").write_text("rich\n")
    inputs = read_inputs(spec("env/environment.yml"), tmp_path / "mlbuild.yaml")
    assert inputs.requirements == ("rich", "tqdm>=4")
    assert inputs.options == ("--extra-index-url https://index.invalid/simple",)
    assert inputs.lines == (
        "tqdm>=4",
        f"--requirement {tmp_path}/env/more.txt",
        "--extra-index-url https://me:token@index.invalid/simple",
    )
    assert [str(asked.at) for asked in inputs.asked] == [
        f"{tmp_path}/env/environment.yml:7",
        f"{tmp_path}/env/more.txt:1",
    ]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("python", ""),
        ("python=3.11", "==3.11.*"),
        ("python 3.11", "==3.11.*"),
        ("python=3.11.*", "==3.11.*"),
        ("python==3.11.2", "==3.11.2"),
        ("python=3.11.2=h955ad1f_0", "==3.11.2.*"),
        ("conda-forge::python>=3.9,<3.12", "<3.12,>=3.9"),
        ("python >=3.9, <3.12", "<3.12,>=3.9"),
    ],
)
def test_versions_of_python(tmp_path: Path, written: str, means: str) -> None:
    path = tmp_path / "environment.yml"
    path.write_text(f'dependencies: ["{written}"]\n')
    python = read_environment(path).python
    assert python is not None
    assert python[0] == SpecifierSet(means)


def test_every_package_of_conda_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "environment.yml"
    path.write_text(
        "dependencies:\n  - pytorch::pytorch>=2\n  - scikit-learn\n  - cudatoolkit=11.8\n  - ffmpeg\n  - foolib\n"
    )
    with pytest.raises(InvalidInput) as failure:
        read_environment(path)
    said = [line.partition("wheels: ")[2] for line in failure.value.message.splitlines()]
    assert said == [
        "put `torch>=2` under pip",
        "put `scikit-learn` under pip",
        "leave it out, since wheels and the base bring what they need of it",
        "list `ffmpeg` under `system` in mlbuild.yaml",
        "look for its name on PyPI",
    ]
    assert [line.partition(": ")[0] for line in failure.value.message.splitlines()] == [
        f"{path}:{line}" for line in range(2, 7)
    ]
