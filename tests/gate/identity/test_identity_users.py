from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from gate.identity.permissions import Role
from gate.identity.users import MAX_PASSWORD, read_users, remove_user, set_user

DATA = Path(__file__).parent / "data" / "users"


def test_users_are_written_with_role_and_hash_and_read_back(tmp_path):
    path = tmp_path / "etc" / "users.yaml"
    assert set_user(path, "ci", Role.PUSHER, "secret", rounds=4)
    assert not set_user(path, "ci", Role.ADMIN, "secret", rounds=4)
    assert set_user(path, "pod", Role.PULLER, "secret", rounds=4)
    users = read_users(path).users
    assert {name: account.role for name, account in users.items()} == {"ci": Role.ADMIN, "pod": Role.PULLER}
    assert "secret" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1), "ü" * MAX_PASSWORD])
def test_a_password_that_bcrypt_would_cut_is_not_taken(tmp_path, password):
    with pytest.raises(InvalidInput, match="1 to 72 bytes"):
        set_user(tmp_path / "users.yaml", "ci", Role.PUSHER, password)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "-a", "a\nb", "ü", "x" * 129, "oidc", "anonymous"])
def test_a_name_that_basic_authentication_or_yaml_cannot_carry_is_not_taken(tmp_path, name):
    with pytest.raises(InvalidInput, match="cannot be a user name"):
        set_user(tmp_path / "users.yaml", name, Role.PUSHER, "secret")


def test_removing_somebody_unknown_is_a_mistake(tmp_path):
    set_user(tmp_path / "users.yaml", "ci", Role.PUSHER, "secret", rounds=4)
    with pytest.raises(InvalidInput, match="has no user 'cj'"):
        remove_user(tmp_path / "users.yaml", "cj")


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_that_cannot_be_accepted_is_named_with_its_line(path):
    with pytest.raises(InvalidInput, match=rf"{path.name}:\d+: "):
        read_users(path)
