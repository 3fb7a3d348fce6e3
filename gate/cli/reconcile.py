"""`mlgate reconcile`: what a crash left half done, put right now."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path

import click

from compliance.errors import Unavailable
from gate.app import alone_in, open_upstream
from gate.cli.database import data_option
from gate.clock import utc_now
from gate.publication import Publication
from gate.reconciler import Reconciler, Repair
from gate.scratch import own_name
from gate.settings import Settings, read_settings
from gate.store import Store


@click.command()
@data_option
@click.option("--upstream", metavar="URL", help=Settings.model_fields["upstream"].description)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--all", "everything", is_flag=True, help="Hold all that may be read against the registry as well.")
def reconcile(data: Path | None, upstream: str | None, dry_run: bool, everything: bool) -> None:
    """Put right what a crash left between the database and the registry behind the gate.

    A gate does this by itself, when it starts and every few minutes. Exit code 3 when something could not be put
    right yet. --all is for a database or a registry that was restored from a copy; it takes a request or two for
    each manifest, and names the blobs that are lost.

    \b
    Examples:
      mlgate reconcile --dry-run
      mlgate reconcile --all --upstream https://registry.internal
    """
    settings = read_settings(data=data, upstream=upstream)
    repairs = asyncio.run(_reconcile(settings, dry=dry_run, everything=everything))
    for repair in repairs:
        click.echo(str(repair))
    failed = sum(repair.failed is not None for repair in repairs)
    if not repairs:
        click.echo("nothing was left half done")
    elif not failed:
        click.echo(f"{len(repairs)} {'to be put right' if dry_run else 'put right'}")
    else:
        raise Unavailable(f"{failed} of {len(repairs)} could not be put right yet")


async def _reconcile(settings: Settings, *, dry: bool, everything: bool) -> tuple[Repair, ...]:
    async with AsyncExitStack() as stack:
        try:
            stack.enter_context(alone_in(settings.data))
        except Unavailable:
            if settings.upstream is None:
                raise
            # The gate that runs here is at its own; what belongs to others is told by its age.
            name = secrets.token_hex(16)
        else:
            name = own_name(settings.data)
        store = stack.enter_context(closing(Store(settings.database_url)))
        registry = await open_upstream(settings, store.secret("registry"), stack)
        upstream = await stack.enter_async_context(registry)
        intents = store.intents(name, utc_now)
        reconciler = Reconciler(
            store,
            intents,
            Publication(store, intents, upstream.client, utc_now),
            upstream.client,
            utc_now,
            uploads_kept=timedelta(seconds=settings.uploads_kept),
        )
        found = await asyncio.to_thread(reconciler.run, dry=dry)
        if everything:
            found += await asyncio.to_thread(reconciler.compare, dry=dry)
        return found
