"""Settings from the environment and the configuration file, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.settings import read_settings
from compliance.errors import InvalidInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_file_need_not_be_there(file: Path) -> None:
    settings = read_settings({}, file)
    assert (settings.workers, settings.sdist, settings.gate) == (8, True, None)


def test_the_environment_comes_before_the_file_and_what_is_given_before_both(file: Path, tmp_path: Path) -> None:
    file.write_text('workers = 2\ngate = "gate.example.com"\ncache = "/from-the-file"\ncache_limit = "5GB"\n')
    settings = read_settings({"MLBUILD_WORKERS": "3", "mlbuild_cache": "/lower-case"}, file, cache=tmp_path)
    assert (settings.workers, settings.gate, settings.cache) == (3, "gate.example.com", tmp_path)
    assert settings.cache_limit == 5 * 10**9
    assert read_settings({"mlbuild_cache": "/lower-case"}, file).cache == Path("/lower-case")


def test_variables_of_other_programs_do_not_matter(file: Path) -> None:
    assert read_settings({"MLBUILD_OTHER": "1", "WORKERS": "5"}, file).workers == 8


@pytest.mark.parametrize(
    ("environment", "text", "said"),
    [
        ({"MLBUILD_WORKERS": "0"}, "", "setting 'workers': Input should be greater than or equal to 1"),
        ({"MLBUILD_SDIST": "perhaps"}, "", "setting 'sdist': Input should be a valid boolean"),
        ({"MLBUILD_CACHE_LIMIT": "much"}, "", "setting 'cache_limit': "),
        ({}, "worker = 3", "setting 'worker': Extra inputs are not permitted"),
        ({}, "workers = ", "is not valid TOML"),
    ],
)
def test_a_setting_that_cannot_be_is_named(file: Path, environment: dict[str, str], text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match=said) as refused:
        read_settings(environment, file)
    assert str(file) in f"{refused.value} {refused.value.remedy}"
