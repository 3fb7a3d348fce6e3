import os
from pathlib import Path

import httpx
import pytest

from builder.index_auth import IndexAuth
from builder.indexes import uv_environment, without_credentials
from compliance.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:token@index.invalid:8443/simple?x=1#y", "https://index.invalid:8443/simple?x=1#y"),
        ("https://token@index.invalid/simple", "https://index.invalid/simple"),
        ("https://a@b:c@index.invalid/", "https://index.invalid/"),
        ("https://index.invalid/simple", "https://index.invalid/simple"),
        ("not an address", "not an address"),
    ],
)
def test_without_credentials(url: str, expected: str) -> None:
    assert without_credentials(url) == expected


def test_pips_files_count_in_pips_order(tmp_path: Path) -> None:
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://old.invalid/simple\n")
    (tmp_path / "own.conf").write_text(
        "[global]\nindex_url = https://new.invalid/simple\n"
        "[install]\nextra-index-url = https://more.invalid/simple\n    file:///srv/simple\n"
    )
    found = uv_environment({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "own.conf")})
    assert found["UV_DEFAULT_INDEX"] == "https://new.invalid/simple"
    assert found["UV_INDEX"] == "https://more.invalid/simple"


def test_pips_variable_wins_over_its_files(tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text("[global]\nindex-url = https://file.invalid/simple\n")
    environment = {
        "PIP_CONFIG_FILE": str(tmp_path / "own.conf"),
        "PIP_INDEX_URL": "https://variable.invalid/simple",
    }
    assert uv_environment(environment)["UV_DEFAULT_INDEX"] == "https://variable.invalid/simple"


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uvs_own_setting_wins_over_pips(name: str) -> None:
    environment = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://pip.invalid/simple",
        name: "https://uv.invalid/simple",
    }
    assert uv_environment(environment) == environment


def test_a_pip_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text("index-url = nowhere\n")
    with pytest.raises(InvalidInput, match="is not a pip configuration file"):
        uv_environment({"PIP_CONFIG_FILE": str(tmp_path / "own.conf")})


def test_credentials_go_to_their_host_only() -> None:
    environment = {
        "PIP_CONFIG_FILE": os.devnull,
        "UV_INDEX": "corp=https://me:t%40ken@index.invalid/simple",
        "UV_DEFAULT_INDEX": "https://pypi.invalid/simple",
    }
    auth = IndexAuth(environment)
    sent = {}
    for host in ("index.invalid", "pypi.invalid", "elsewhere.invalid"):
        request = next(auth.auth_flow(httpx.Request("GET", f"https://{host}/a.whl")))
        sent[host] = request.headers.get("Authorization")
    assert sent == {"index.invalid": "Basic bWU6dEBrZW4=", "pypi.invalid": None, "elsewhere.invalid": None}
