from __future__ import annotations

import base64

import pytest

from compliance.errors import InvalidInput
from gate.auth import Authentication, User
from gate.errors import Fault
from gate.users import Role, remove_user, set_user

PASSWORD = "correct horse: battery"


def header(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.yaml"
    set_user(path, "ci", Role.PUSH, PASSWORD)
    return path


def test_the_right_password_gives_the_user_and_role(users):
    assert Authentication(users).check(header("ci", PASSWORD)) == User("ci", Role.PUSH)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Bearer abc",
        header("ci", "wrong"),
        header("ci", ""),
        header("nobody", PASSWORD),
        header("ci", PASSWORD * 10),
    ],
)
def test_anything_else_is_asked_for_basic_credentials(users, authorization):
    with pytest.raises(Fault) as caught:
        Authentication(users).check(authorization)
    assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
    assert caught.value.headers["WWW-Authenticate"].startswith('Basic realm="')


def test_a_password_that_was_right_is_not_hashed_again(users):
    authentication = Authentication(users)
    assert authentication.remembered(header("ci", PASSWORD)) is None
    user = authentication.check(header("ci", PASSWORD))
    assert authentication.remembered(header("ci", PASSWORD)) == user
    assert authentication.remembered(header("ci", "wrong")) is None


def test_a_changed_password_counts_at_once(users):
    authentication = Authentication(users)
    authentication.check(header("ci", PASSWORD))
    set_user(users, "ci", Role.PULL, "another")
    with pytest.raises(Fault):
        authentication.check(header("ci", PASSWORD))
    assert authentication.check(header("ci", "another")).role is Role.PULL


def test_a_removed_user_is_out_at_once(users):
    authentication = Authentication(users)
    authentication.check(header("ci", PASSWORD))
    set_user(users, "other", Role.PULL, PASSWORD)
    remove_user(users, "ci")
    with pytest.raises(Fault):
        authentication.check(header("ci", PASSWORD))


def test_a_users_file_that_breaks_lets_nobody_in(users):
    authentication = Authentication(users)
    authentication.check(header("ci", PASSWORD))
    users.write_text("users: [ci]\n")
    with pytest.raises(Fault):
        authentication.check(header("ci", PASSWORD))


def test_a_gate_without_users_does_not_start(tmp_path):
    with pytest.raises(InvalidInput, match="there is no user") as caught:
        Authentication(tmp_path / "users.yaml")
    assert "mlgate user add" in (caught.value.remedy or "")


@pytest.mark.parametrize(("role", "may"), [(Role.PULL, False), (Role.PUSH, True), (Role.ADMIN, True)])
def test_a_role_includes_those_before_it(role, may):
    assert role.includes(Role.PULL)
    assert role.includes(Role.PUSH) is may


def test_who_may_only_pull_is_told_what_pushing_needs():
    with pytest.raises(Fault) as caught:
        User("pod", Role.PULL).require(Role.PUSH, "push")
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    assert caught.value.message == "pod may only pull, and to push the push role is needed"
