"""`mlbuild verify`: whether a gate admitted an image, checked with the gate's public key."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from builder.cli.context import REFUSED, Session, failing_well, json_option
from builder.verify import Verification
from builder.verify import verify as look_for_proof
from compliance.attest.keys import TrustedKeys
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient


@click.command()
@click.argument("image")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The gate's public key in PEM; MLBUILD_GATE_KEY by default.",
)
@click.option(
    "--repository",
    metavar="NAME",
    help="What the repository is called at the gate, where IMAGE is a copy elsewhere.",
)
@json_option
@click.pass_obj
@failing_well
def verify(session: Session, image: str, key: Path | None, repository: str | None) -> None:
    """Check that a gate admitted IMAGE, by the summary it signed.

    Nothing but the gate's public key is trusted: not the registry, and no other signature. Exit code 0 when
    there is a valid summary, 1 when there is none or it says that the image may no longer be used. What no
    longer complies and has some days left to be replaced is said to, with the date.

    \b
    Examples:
      mlbuild verify gate.example.com/serving/iris:1.4 --key gate-public.pem
      MLBUILD_GATE_KEY=gate-public.pem mlbuild verify --json gate.example.com/serving/iris@sha256:…
      mlbuild verify mirror.example.com/eu/iris:1.4 --repository serving/iris
    """
    reference = Reference.parse(image)
    if not reference.registry:
        raise InvalidInput(f"{image!r} names no registry", remedy="Write HOST:PORT/REPOSITORY:TAG.")
    path = key or session.workshop.settings.gate_key
    if path is None:
        raise InvalidInput(
            "the gate's public key is needed",
            remedy="Give it with --key, or set MLBUILD_GATE_KEY; `mlgate key show` prints it.",
        )
    credentials = Credentials.from_docker_config(reference.registry)
    with RegistryClient(reference.registry, credentials=credentials) as client:
        name = repository or reference.repository
        found = look_for_proof(client, reference, TrustedKeys.only(path), name, session.workshop.at)
    if session.as_json:
        session.emit(_facts(reference, found))
    else:
        _show(session, reference, found)
    if found.summary is None:
        raise click.exceptions.Exit(REFUSED)


def _show(session: Session, reference: Reference, found: Verification) -> None:
    named = reference if found.digest is None else reference.at(found.digest)
    if found.summary is None:
        session.out.print(f"NOT VERIFIED {named}", style="bold red", soft_wrap=True)
        for problem in found.problems:
            session.out.print(f"  {escape(problem)}", soft_wrap=True)
        return
    summary = found.summary
    until = summary.pullable_until
    if until is None:
        session.out.print(f"VERIFIED {named}", style="bold green", soft_wrap=True)
    else:
        session.out.print(f"VERIFIED, NO LONGER COMPLIES {named}", style="bold yellow", soft_wrap=True)
        session.out.print(f"  {'until':<9} {until:%Y-%m-%d %H:%M} UTC, then it cannot be pulled any more")
    for name, value in (
        ("verifier", summary.verifier),
        ("time", summary.at.isoformat(timespec="seconds")),
        ("policy", f"{summary.policy} {summary.policy_digest}"),
        ("levels", ", ".join(summary.levels)),
        ("resource", summary.resource),
    ):
        session.out.print(f"  {name:<9} {escape(value)}", soft_wrap=True)


def _facts(reference: Reference, found: Verification) -> dict[str, object]:
    facts: dict[str, object] = {
        "verified": found.summary is not None,
        "image": str(reference),
        "digest": found.digest,
        "problems": found.problems,
    }
    if found.summary is not None:
        summary = found.summary
        facts |= {
            "verifier": summary.verifier,
            "time": summary.at.isoformat(),
            "resource": summary.resource,
            "policy": {"uri": summary.policy, "digest": summary.policy_digest},
            "levels": summary.levels,
            "pullable_until": None if summary.pullable_until is None else summary.pullable_until.isoformat(),
            "inputs": [{"name": one.name, "digest": one.digest, "uri": one.uri} for one in summary.inputs],
        }
    return facts
