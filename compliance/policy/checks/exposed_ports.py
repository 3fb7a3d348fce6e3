"""The ports an image says it listens on."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

_FORM: Final = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?(/(?P<protocol>tcp|udp|sctp))?")


def _is_ports(text: str) -> str:
    found = _FORM.fullmatch(text)
    if found is None or not 0 < int(found["first"]) <= int(found["last"] or found["first"]) <= 65535:
        raise ValueError(f"{text!r} is not a port or range as 8080, 8000-8999 or 53/udp")
    return text


class ExposedPortsParameters(Parameters):
    """Which ports are good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow": ["8080", "9000-9099/tcp"]}]})

    allow: Some[Annotated[str, AfterValidator(_is_ports)]] = Field(
        description="Ports and ranges; without a protocol tcp is meant."
    )


def run(
    parameters: ExposedPortsParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images that expose a port outside the given ones. An image that exposes none is good."""
    settings = evidence.settings
    if isinstance(settings, Absent):
        return settings
    return tuple(
        Violation(
            culprit=f"port {port}",
            key=port,
            message=f"the image exposes port {port}; allowed: {', '.join(parameters.allow)}",
            origin=Origin.APP,
            remedy="listen on an allowed port, and name it under `ports:` in mlbuild.yaml",
        )
        for port in settings.exposed_ports
        if not any(_covers(one, port) for one in parameters.allow)
    )


def _covers(allowed: str, port: str) -> bool:
    good, asked = _FORM.fullmatch(allowed), _FORM.fullmatch(port)
    if good is None or asked is None:
        return False
    first, last = int(asked["first"]), int(asked["last"] or asked["first"])
    same = (good["protocol"] or "tcp") == (asked["protocol"] or "tcp")
    return same and int(good["first"]) <= first <= last <= int(good["last"] or good["first"])


CHECK = Check(
    name="exposed-ports", parameters=ExposedPortsParameters, run=run, waived_by=frozenset({Selector.KEY})
)
