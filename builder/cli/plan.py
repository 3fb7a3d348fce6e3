"""`mlbuild plan`: the layers of a build, before they are made."""

from __future__ import annotations

import click
from rich.table import Table

from builder import pipeline
from builder.cli.context import Session, failing_well, json_option
from builder.cli.sizes import megabytes
from builder.layer_plan import ImagePlan, PlannedLayer, plan_image
from builder.platforms import each_platform
from compliance.oci.credentials import Credentials
from compliance.oci.registry import RegistryClient

_SHOWN = 6


@click.command()
@click.argument("registry", required=False)
@json_option
@click.pass_obj
@failing_well
def plan(session: Session, registry: str | None) -> None:
    """Show the layers that a build will have: what is in each, its size, and what is cached already.

    With REGISTRY (host:port of a gate or registry) also what is there already, so what a push will send.
    Locks where there is no lock that answers the spec; downloads and makes nothing else. Sizes with a ~ are
    of what a layer is made from, since it is not made yet.

    \b
    Examples:
      mlbuild plan
      mlbuild plan gate.example.com --json
    """
    workshop = session.workshop
    project = pipeline.open_project(session.project)
    lock = pipeline.settle_lock(project, workshop)
    plans = {
        one.platform: plan_image(
            one.spec, workshop.base(one.spec.base, one.architecture), part, one.app, workshop.cache
        )
        for one, part in each_platform(project, lock)
    }
    if registry is not None:
        with RegistryClient(registry, credentials=Credentials.from_docker_config(registry)) as client:
            plans = {platform: planned.ask(client) for platform, planned in plans.items()}
    if session.as_json:
        session.emit({"images": [_facts(platform, planned) for platform, planned in plans.items()]})
        return
    for platform, planned in plans.items():
        if len(plans) > 1:
            session.out.print(platform, style="bold")
        _show(session, planned, registry)


def _show(session: Session, planned: ImagePlan, registry: str | None) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column("WHAT")
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("CACHED")
    if registry is not None:
        table.add_column("REGISTRY")
    table.add_column("CONTENT", overflow="fold")
    for number, layer in enumerate(planned.layers, 1):
        there = [_word(layer.in_registry)] if registry is not None else []
        table.add_row(str(number), layer.part, _size(layer), _word(layer.cached), *there, _content(layer))
    session.out.print(table)
    missing = [layer for layer in planned.layers if not layer.cached]
    made_from = sum(layer.size or 0 for layer in missing)
    session.out.print(
        f"{len(planned.layers)} of at most {planned.most} layers, {len(missing)} to make"
        + (f" from {megabytes(made_from)}" if missing else ""),
        soft_wrap=True,
    )
    if registry is not None:
        sent = [layer for layer in planned.layers if not layer.in_registry]
        session.out.print(
            f"{len(sent)} to send to {registry}, {megabytes(sum(layer.size or 0 for layer in sent))}",
            soft_wrap=True,
        )
    if not planned.settled:
        session.out.print("a wheel over 2 GB is split once it is downloaded", soft_wrap=True)


def _size(layer: PlannedLayer) -> str:
    if layer.size is None:
        return "?"
    return megabytes(layer.size) if layer.cached else f"~{megabytes(layer.size)}"


def _word(there: bool | None) -> str:
    return "?" if there is None else "yes" if there else "no"


def _content(layer: PlannedLayer) -> str:
    shown = ", ".join(layer.contents[:_SHOWN])
    more = len(layer.contents) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _facts(platform: str, planned: ImagePlan) -> dict[str, object]:
    return {
        "platform": platform,
        "image": planned.repository,
        "settled": planned.settled,
        "layers": [
            {
                "part": layer.part,
                "content": list(layer.contents),
                "bytes": layer.size,
                "tar_bytes": layer.tar_size,
                "digest": layer.digest,
                "cached": layer.cached,
                "in_registry": layer.in_registry,
            }
            for layer in planned.layers
        ],
    }
