"""`mlbuild why`: the gate's decision on an image, in full."""

from __future__ import annotations

import click

from builder.cli.context import Session, failing_well, json_option
from builder.cli.verdicts import finish
from builder.why import why as ask
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.transport import Transport, is_loopback


@click.command()
@click.argument("image")
@click.option("--verbose", "-v", is_flag=True, help="Show every rule, also those that it complies with.")
@json_option
@click.pass_obj
@failing_well
def why(session: Session, image: str, *, verbose: bool) -> None:
    """Show why a gate admitted or refused IMAGE.

    For clients that print no more than a status when a push is refused. A tag stands for what can be pulled by
    it, where there is such a thing; name a refused image by the digest that the client printed. Exit code 0
    when it was admitted, 1 when it was refused.

    \b
    Examples:
      mlbuild why gate.example.com/serving/iris:1.5
      mlbuild why --json gate.example.com/serving/iris@sha256:…
    """
    reference = Reference.parse(image)
    if not reference.registry:
        raise InvalidInput(f"{image!r} names no registry", remedy="Write HOST:PORT/REPOSITORY:TAG.")
    gate = Transport(
        reference.registry,
        Credentials.from_docker_config(reference.registry),
        plain_http=is_loopback(reference.registry),
    )
    try:
        decision = ask(gate, reference)
    finally:
        gate.close()
    finish(session, {"": decision}, verbose=verbose)
