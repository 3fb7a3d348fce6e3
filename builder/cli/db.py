"""`mlbuild db`: Trivy's vulnerability database, from any registry, pinned and mirrored."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
from platformdirs import user_cache_path

from builder.cli.context import UNDECIDED, Session, failing_well, json_option
from compliance.policy.wording import count
from compliance.scan.installed import TRIVY, Installed, installed, pinned, read_pin
from compliance.scan.mirror import fetch_database, parse_repository

DEFAULT: Final = "ghcr.io/aquasecurity/trivy-db"


@click.group(name="db")
def group() -> None:
    """Trivy's vulnerability database: fetch it, pin it, mirror it, see what is there."""


def _cache(session: Session) -> Path:
    return session.workshop.cache.directory("databases")


@group.command()
@click.option(
    "--from", "source", metavar="REPOSITORY", help=f"HOST/REPOSITORY[:TAG|@DIGEST]; {DEFAULT} by default."
)
@click.option("--mirror-to", metavar="REPOSITORY", help="Also copy the artifact, unchanged, to this repository.")
@click.option("--pin", is_flag=True, help="Use this database and no other until the next update.")
@json_option
@click.pass_obj
@failing_well
def update(session: Session, source: str | None, mirror_to: str | None, pin: bool) -> None:
    """Fetch Trivy's database, and use it from now on.

    A digest pins what is fetched; `--pin` does so with whatever the tag means now. An update without either
    lifts the pin. MLBUILD_DATABASE names the repository for good, for closed networks too.

    \b
    Examples:
      mlbuild db update
      mlbuild db update --mirror-to registry.example.com/mirror/trivy-db      where there is a way out
      mlbuild db update --from registry.example.com/mirror/trivy-db --pin     where there is none
    """
    settings = session.workshop.settings
    reference = parse_repository(source or settings.database or DEFAULT)
    mirror = parse_repository(mirror_to) if mirror_to is not None else None
    session.progress.step(f"fetching {reference}")
    fetched = fetch_database(
        reference,
        _cache(session),
        now=session.workshop.now,
        pin=pin,
        mirror=mirror,
        task=session.progress.bytes,
    )
    if session.as_json:
        session.emit(
            {
                **_facts(session, fetched.installed),
                "reference": str(fetched.reference),
                "pinned": fetched.pinned,
                "mirrored": str(fetched.mirrored) if fetched.mirrored else None,
            }
        )
        return
    session.out.print(f"{fetched.reference}{' (pinned)' if fetched.pinned else ''}", soft_wrap=True)
    session.out.print(_age(session, fetched.installed), soft_wrap=True)
    if fetched.mirrored is not None:
        session.out.print(f"mirrored to {fetched.mirrored}", soft_wrap=True)


@group.command()
@json_option
@click.pass_obj
@failing_well
def status(session: Session) -> None:
    """Show the databases that are here, where they came from and which one is used; exits with 3 for none.

    \b
    Examples:
      mlbuild db status
      mlbuild db status --json
    """
    place, notes = _cache(session) / TRIVY, list[str]()
    found = installed((place, user_cache_path("trivy")), notes)
    pin = read_pin(place)
    used = pinned(place, pin) if pin is not None else next(iter(found), None)
    in_use = used.database.cache if used is not None else None
    if session.as_json:
        databases = [{**_facts(session, one), "used": one.database.cache == in_use} for one in found]
        session.emit({"databases": databases, "pin": pin.reference if pin else None, "notes": notes})
    else:
        _print(session, found, in_use, notes)
        if pin is not None:
            missing = "" if used is not None else ", which is not there"
            session.out.print(f"pinned to {pin.reference}{missing}", soft_wrap=True)
    if used is None:
        raise click.exceptions.Exit(UNDECIDED)


def _print(session: Session, found: tuple[Installed, ...], in_use: Path | None, notes: list[str]) -> None:
    if not found:
        session.out.print("Trivy's database is not here; `mlbuild db update` fetches it.", soft_wrap=True)
    for one in found:
        source = one.source.reference if one.source else f"downloaded by Trivy, in {one.database.cache}"
        used = "used    " if one.database.cache == in_use else "not used"
        session.out.print(f"{used}  {_age(session, one)}, {one.size / 1_000_000:.1f} MB", soft_wrap=True)
        session.out.print(f"          {source}", soft_wrap=True)
    for note in notes:
        session.out.print(f"note: {note}", soft_wrap=True)


def _age(session: Session, one: Installed) -> str:
    updated = one.database.description.updated
    old = session.workshop.now - updated
    age = count(old.days, "day") if old > timedelta(days=1) else "less than a day"
    return f"{updated:%Y-%m-%d %H:%M} UTC, {age} old"


def _facts(session: Session, one: Installed) -> dict[str, Any]:
    return {
        "directory": str(one.database.cache),
        "digest": one.database.description.digest,
        "updated": one.database.description.updated.isoformat(),
        "next_update": one.next_update.isoformat(),
        "overdue": one.next_update <= session.workshop.now,
        "size": one.size,
        "source": one.source.reference if one.source else None,
    }
