"""`mlbuild push`: what was built, sent through the gate, and what the gate said."""

from __future__ import annotations

import click

from builder import pipeline
from builder.cli.context import REFUSED, Session, failing_well
from builder.cli.sizes import megabytes
from builder.project import open_project
from builder.push_project import push_project
from builder.pushed import PushedBlobs
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.policy.decision import Verdict
from compliance.retries import Retries


@click.command()
@click.argument("gate", required=False)
@click.option("--tag", "-t", default="latest", show_default=True, help="Tag to give the image.")
@click.pass_obj
@failing_well
def push(session: Session, gate: str | None, tag: str) -> None:
    """Send the image and its evidence through the gate GATE (host:port), and print the admitted digest.

    Only what the registry lacks is sent; what another of its repositories has is mounted from there. An
    upload that is cut off goes on by itself.

    \b
    Examples:
      mlbuild push gate.example.com
      mlbuild push gate.example.com --tag 1.4.0
      MLBUILD_GATE=gate.example.com mlbuild push
    """
    workshop = session.workshop
    host = gate or workshop.settings.gate
    if host is None:
        raise InvalidInput("which gate?", remedy="Name it: `mlbuild push HOST:PORT`, or set MLBUILD_GATE.")
    built = pipeline.build(open_project(session.project), workshop)
    target = Reference.parse(f"{host}/{built.repository}:{tag}")
    credentials = Credentials.from_docker_config(host)
    with RegistryClient(host, credentials=credentials, retries=Retries()) as client:
        try:
            pushed = push_project(
                client,
                target,
                built,
                workshop.progress,
                workers=workshop.settings.workers,
                pushed=PushedBlobs(workshop.cache),
            )
        except RegistryError as error:
            if (error.status, error.code) != (403, "DENIED"):
                raise
            _refused(session, error.reason)
    if session.as_json:
        session.emit(
            {
                "verdict": Verdict.ADMITTED,
                "reference": str(pushed.reference),
                "blobs_sent": pushed.blobs_sent,
                "bytes_sent": pushed.bytes_sent,
                "blobs_present": pushed.blobs_present,
                "evidence_bytes": pushed.evidence_bytes,
            }
        )
    else:
        session.out.print(f"ADMITTED {pushed.reference}", style="bold green", soft_wrap=True)
        blobs = pushed.blobs_sent + pushed.blobs_present
        session.out.print(
            f"sent {pushed.blobs_sent} of {blobs} blobs, {megabytes(pushed.bytes_sent)}, "
            f"and {megabytes(pushed.evidence_bytes)} of evidence",
            soft_wrap=True,
        )


def _refused(session: Session, message: str) -> None:
    if session.as_json:
        session.emit({"verdict": Verdict.REFUSED, "message": message})
    else:
        session.out.print(message, style="bold red", soft_wrap=True, markup=False)
    raise click.exceptions.Exit(REFUSED)
