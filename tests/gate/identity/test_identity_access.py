from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from gate.identity.access import read_access, watch_access
from gate.identity.issuers import Provider
from gate.identity.permissions import Action, Proof

DATA = Path(__file__).parent / "data" / "access"
GOOD = """\
anonymous: [public/**]
grants:
  - {users: [alice, bob], role: admin, repositories: [team/**]}
oidc:
  - name: github
    issuer: https://token.actions.githubusercontent.com
    audience: https://gate.example.org
    grants:
      - when: {repository_owner_id: 9919, repository_id: ["1", "2"], ref: refs/heads/*}
        role: pusher
        repositories: ["{repository_owner}/**", "shared/{repository_id}"]
"""
CLAIMS = {
    "repository_owner_id": "9919",
    "repository_id": "2",
    "repository_owner": "Octo-Org",
    "ref": "refs/heads/main",
}


@pytest.fixture
def access(tmp_path):
    path = tmp_path / "access.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_that_cannot_be_accepted_is_named_with_its_line(path):
    with pytest.raises(InvalidInput, match=rf"{path.name}:\d+: "):
        read_access(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("github-by-name-alone", "add repository_id or repository_owner_id or enterprise_id, without wildcards"),
        ("github-by-subject-alone", "names can be taken over by others"),
        ("github-actor-by-name", "actor is a name that others can take over; pin actor_id too"),
        ("gitlab-by-path-alone", "add project_id or namespace_id"),
        ("template-of-a-claim-that-can-be-anything", r"\{team\} can be anything in a token"),
    ],
)
def test_what_goes_by_names_is_refused_with_what_to_do(name, said):
    with pytest.raises(InvalidInput, match=said):
        read_access(DATA / f"{name}.yaml")


def test_strangers_may_pull_what_is_public(access):
    stranger = read_access(access).stranger
    assert stranger.proof is Proof.NOTHING
    assert stranger.may(Action.PULL, "public/image")
    assert not stranger.may(Action.PUSH, "public/image")
    assert not stranger.sees("team/image")


def test_claims_are_given_what_the_grant_says(access):
    (issuer,) = read_access(access).oidc
    assert issuer.kind is Provider.GITHUB
    (permission,) = issuer.permissions(CLAIMS)
    assert permission.repositories == ("octo-org/**", "shared/2")
    assert Action.PUSH in permission.actions


@pytest.mark.parametrize(
    "changed",
    [
        {"repository_owner_id": "1"},
        {"repository_id": "3"},
        {"ref": "refs/tags/v1"},
        {"ref": "refs/heads/a/b"},
        {"ref": None},
        {"ref": ["refs/heads/main"]},
        {"repository_owner_id": 9919.5},
    ],
)
def test_claims_that_differ_are_given_nothing(access, changed):
    (issuer,) = read_access(access).oidc
    assert issuer.permissions({**CLAIMS, **changed}) == ()


@pytest.mark.parametrize("name", ["**", "*", "", "a b", "../x", "a//b", None, "-a"])
def test_a_claim_that_is_no_part_of_a_name_makes_no_pattern(access, name):
    (issuer,) = read_access(access).oidc
    (permission,) = issuer.permissions({**CLAIMS, "repository_owner": name})
    assert permission.repositories == ("shared/2",)


def test_a_file_that_breaks_allows_nothing_until_it_is_mended(access):
    now = watch_access(access)
    assert now().of_user("alice")
    access.write_text("grants: everything\n")
    assert now().of_user("alice") == ()
    assert now().stranger.permissions == ()
    access.write_text(GOOD)
    assert now().of_user("alice")


def test_without_a_file_nothing_is_allowed(tmp_path):
    access = watch_access(tmp_path / "access.yaml")()
    assert (access.of_user("alice"), access.stranger.permissions, access.oidc) == ((), (), ())
