from __future__ import annotations

import pytest

from gate.identity.permissions import Action, Identity, Permission, Role, repository_pattern

PULL, PUSH, DELETE, REVIEW = Action


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.PULLER, {PULL}),
        (Role.PUSHER, {PULL, PUSH}),
        (Role.SECURITY, {PULL, REVIEW}),
        (Role.ADMIN, {PULL, PUSH, DELETE, REVIEW}),
    ],
)
def test_each_role_allows_what_it_is_for(role, allowed):
    somebody = Identity("x", (Permission.of(role),))
    assert {action for action in Action if somebody.may(action, "team/image")} == allowed


def test_a_role_holds_where_it_was_given_only():
    alice = Identity(
        "alice", (Permission.of(Role.PUSHER, ("team/**",)), Permission.of(Role.PULLER, ("shared/*",)))
    )
    assert alice.may(PUSH, "team/a/b")
    assert alice.may(PULL, "shared/base")
    assert not alice.may(PUSH, "shared/base")
    assert not alice.sees("other/image")
    assert not alice.sees("team")


def test_short_names_of_roles_are_those_of_earlier_users_files():
    assert Role("pull") is Role.PULLER
    assert Role("push") is Role.PUSHER


@pytest.mark.parametrize("pattern", ["", "/team", "team/", "Team/**", "team//x", "registry.example:5000/x", "a b"])
def test_a_pattern_that_fits_nothing_is_a_mistake(pattern):
    with pytest.raises(ValueError, match="can fit no repository"):
        repository_pattern(pattern)
