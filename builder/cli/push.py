"""`mlbuild push`: the image and its evidence through the gate, and what the gate says."""

from __future__ import annotations

from contextlib import closing

import click

from builder import pipeline
from builder.cli.context import REFUSED, Session, failing_well
from builder.cli.github import Workflow
from builder.cli.sizes import megabytes
from builder.places import places_in_repository
from builder.project import Project, open_project
from builder.push_project import push_project
from builder.pushed import PushedBlobs
from builder.why import REPORT, decision_at
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.oci.transport import Transport, is_loopback
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
    project = open_project(session.project)
    built = pipeline.build(project, workshop)
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
            if session.workflow is not None:
                _annotate(session.workflow, project, target, credentials, error)
            _refused(session, error.reason)
    if session.workflow is not None:
        session.workflow.output("reference", str(pushed.reference))
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


def _annotate(
    workflow: Workflow, project: Project, target: Reference, credentials: Credentials | None, error: RegistryError
) -> None:
    """Tell the gate's own decision at the lines of the project; its one line where no decision can be had."""
    report = error.headers.get(REPORT)
    if report is None:
        workflow.error(error)
        return
    host = target.registry
    with closing(Transport(host, credentials, plain_http=is_loopback(host))) as gate:
        scope = f"repository:{target.repository}:pull"
        gate.authenticate(scope)
        decision = decision_at(gate, report, scope)
    workflow.decision(decision, places_in_repository(project.spec_path, project.spec))


def _refused(session: Session, message: str) -> None:
    if session.as_json:
        session.emit({"verdict": Verdict.REFUSED, "message": message})
    else:
        session.out.print(message, style="bold red", soft_wrap=True, markup=False)
    raise click.exceptions.Exit(REFUSED)
