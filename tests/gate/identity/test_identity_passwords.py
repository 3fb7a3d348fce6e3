from __future__ import annotations

import pytest

from compliance.errors import InvalidInput
from gate.identity.passwords import Passwords
from gate.identity.permissions import Role
from gate.identity.users import remove_user, set_user

PASSWORD = b"correct horse: battery"
QUICK = 4  # the fewest rounds that bcrypt takes


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.yaml"
    set_user(path, "ci", Role.PUSHER, PASSWORD.decode(), rounds=QUICK)
    return path


def test_the_right_password_gives_the_account(users):
    account = Passwords(users, rounds=QUICK).check("ci", PASSWORD)
    assert account is not None
    assert account.role is Role.PUSHER


@pytest.mark.parametrize(
    ("name", "password"),
    [("ci", b"wrong"), ("ci", b""), ("nobody", PASSWORD), ("ci", PASSWORD * 10), ("ci", b"\0"), ("\ud7ff", b"x")],
)
def test_nothing_else_gives_any(users, name, password):
    assert Passwords(users, rounds=QUICK).check(name, password) is None


def test_a_password_that_was_right_is_not_hashed_again(users):
    passwords = Passwords(users, rounds=QUICK)
    assert passwords.remembered("ci", PASSWORD) is None
    account = passwords.check("ci", PASSWORD)
    assert passwords.remembered("ci", PASSWORD) == account
    assert passwords.remembered("ci", b"wrong") is None


def test_a_changed_password_counts_at_once(users):
    passwords = Passwords(users, rounds=QUICK)
    passwords.check("ci", PASSWORD)
    set_user(users, "ci", Role.PULLER, "another", rounds=QUICK)
    assert passwords.remembered("ci", PASSWORD) is None
    assert passwords.check("ci", PASSWORD) is None
    account = passwords.check("ci", b"another")
    assert account is not None
    assert account.role is Role.PULLER


def test_a_removed_user_is_out_at_once(users):
    passwords = Passwords(users, rounds=QUICK)
    passwords.check("ci", PASSWORD)
    set_user(users, "other", Role.PULLER, "secret", rounds=QUICK)
    remove_user(users, "ci")
    assert passwords.check("ci", PASSWORD) is None


def test_a_users_file_that_breaks_lets_nobody_in(users):
    passwords = Passwords(users, rounds=QUICK)
    passwords.check("ci", PASSWORD)
    users.write_text("users: [ci]\n")
    assert passwords.check("ci", PASSWORD) is None


def test_a_gate_without_users_does_not_start(tmp_path):
    with pytest.raises(InvalidInput, match="there is no user") as caught:
        Passwords(tmp_path / "users.yaml")
    assert "mlgate user add" in (caught.value.remedy or "")
