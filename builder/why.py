"""Why a gate admitted or refused an image: the decision that it keeps, for clients that do not show it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import httpx

from compliance.errors import InvalidInput
from compliance.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from compliance.oci.reference import Reference
from compliance.oci.transport import RegistryError, Transport
from compliance.policy.decision import Decision
from compliance.policy.reports import from_json

REPORT: Final = "Mlgate-Decision"
"""The header in which the gate names the address of its report, with an image and with a refusal."""


def why(gate: Transport, reference: Reference) -> Decision:
    """The decision on what `reference` names: on what can be pulled, or else on the last push of it.

    Raises InvalidInput when the gate knows nothing of it or took no decision on it, RegistryError and
    Unavailable when it cannot be asked.
    """
    scope = f"repository:{reference.repository}:pull"
    report = _report(gate, reference, scope)
    if report is None:
        raise InvalidInput(
            f"there is no decision about {reference}", remedy="It is evidence about an image, or this is no gate."
        )
    return decision_at(gate, report, scope)


def decision_at(gate: Transport, report: str, scope: str) -> Decision:
    """The decision whose report has the address `report`."""
    # Whatever name the gate gives itself, it is asked where it was reached: passwords go nowhere else.
    path = f"/api/decisions/{urlsplit(report).path.rpartition('/')[2]}"
    with gate.send("GET", path, scope, headers={"Accept": "application/json"}) as answer:
        return from_json(gate.document(answer))


def _report(gate: Transport, reference: Reference, scope: str) -> str | None:
    path = f"/v2/{reference.repository}/manifests/{reference.target}"
    kinds = {"Accept": ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))}
    try:
        with gate.send("GET", path, scope, headers=kinds) as answer:
            found: str | None = answer.headers.get(REPORT)
    except RegistryError as error:
        if error.status == httpx.codes.NOT_FOUND:
            raise InvalidInput(
                f"nothing called {reference} can be pulled, and no push of it was refused",
                remedy="Push it, or name it by the digest that the client printed.",
            ) from error
        found = error.headers.get(REPORT)
        if found is None:
            raise
    return found
