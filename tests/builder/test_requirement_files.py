import re
from pathlib import Path

import pytest

from builder.requirement_files import read_inputs
from builder.requirements import Inputs
from builder.spec import Spec
from compliance.errors import InvalidInput

BAD = sorted((Path(__file__).parent / "data" / "requirements-bad").glob("*.txt"))


def _inputs(directory: Path, *files: str, dependencies: tuple[str, ...] = ()) -> Inputs:
    spec = Spec(image="a/b", base="c", requirements=files, dependencies=dependencies)
    return read_inputs(spec, directory / "mlbuild.yaml")


def test_reads_what_pip_reads(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# comment\n"
        "--extra-index-url=https://me:token@index.invalid/simple\n"
        "--require-hashes\n"
        "Fast_API [all] >= 0.1 , <1   # trailing\n"
        "numpy==2.0 \\\n"
        "    --hash=sha256:" + "0" * 64 + "\n"
        "tool @ https://me:token@index.invalid/tool-1.0-py3-none-any.whl\n"
        "-r more/deep.txt\n"
        "-cmore/limits.txt\n"
        "--pre\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "deep.txt").write_text("pandas; python_version<'3.12'\n-r ../requirements.txt\n")
    (tmp_path / "more" / "limits.txt").write_text("scipy<2\n")
    inputs = _inputs(tmp_path, "requirements.txt", dependencies=("tqdm",))
    assert inputs.requirements == (
        "fast-api[all]<1,>=0.1",
        "numpy==2.0",
        'pandas ; python_version < "3.12"',
        "tool @ https://index.invalid/tool-1.0-py3-none-any.whl",
        "tqdm",
    )
    assert inputs.limits == ("scipy<2",)
    assert inputs.options == ("--extra-index-url https://index.invalid/simple", "--pre")
    assert [str(asked.at) for asked in inputs.asked if asked.name == "numpy"] == [f"{tmp_path}/requirements.txt:5"]


def test_reads_which_files_a_line_allows(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "--require-hashes\n"
        "numpy==2.0 ; python_version >= '3.9' \\\n"
        f"    --hash=sha256:{'a' * 64} \\\n"
        f"    --hash sha512:{'b' * 128}  \\\n"
        f"    --hash=sha256:{'C' * 64}  # two wheels\n"
        "tqdm==4.0\n"
    )
    allowed = {asked.name: asked.hashes for asked in _inputs(tmp_path, "requirements.txt").asked}
    assert allowed == {"numpy": {"a" * 64, "c" * 64}, "tqdm": frozenset()}


def test_reads_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = [\n  "numpy>=2",\n]\n')
    inputs = _inputs(tmp_path, "pyproject.toml")
    assert inputs.requirements == ("numpy>=2",)
    assert inputs.asked[0].at.line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.poetry]\n", "has no [project] table with a list of dependencies"),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', "has no [project] table with a list"),
        ("[project\n", "is not valid TOML"),
        ('[project]\ndependencies = ["numpy => 2"]\n', "'numpy => 2' is not a requirement"),
        ("[project]\ndependencies = [1]\n", "1 is not a requirement"),
    ],
)
def test_a_pyproject_that_does_not_say(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(InvalidInput) as failure:
        _inputs(tmp_path, "pyproject.toml")
    assert message in failure.value.message


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path: Path) -> None:
    expected = re.match(r"# expected: (\d+|-): (.*)", path.read_text())
    assert expected is not None
    with pytest.raises(InvalidInput) as failure:
        _inputs(path.parent, path.name)
    place = f"{path.parent}/nowhere.txt" if expected[1] == "-" else f"{path}:{expected[1]}"
    assert failure.value.message.startswith(f"{place}: {expected[2]}")
    assert failure.value.remedy


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("numpy".encode("utf-16"))
    with pytest.raises(InvalidInput, match="is not UTF-8 text"):
        _inputs(tmp_path, "requirements.txt")
