"""A decision told as VEX: what of its findings affects the image, and what does not, for other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from packageurl import PackageURL

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.policy.decision import Decision, Exemption, Violation
from compliance.policy.vex import Justification, VexStatus
from compliance.policy.wording import label

VULNERABILITIES: Final = "vulnerabilities"
CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"

_CYCLONEDX_STATES: Final = {VexStatus.NOT_AFFECTED: "not_affected", VexStatus.AFFECTED: "exploitable"}
_CYCLONEDX_JUSTIFICATIONS: Final = {
    Justification.COMPONENT_NOT_PRESENT: "code_not_present",
    Justification.VULNERABLE_CODE_NOT_PRESENT: "code_not_present",
    Justification.VULNERABLE_CODE_NOT_IN_EXECUTE_PATH: "code_not_reachable",
    Justification.VULNERABLE_CODE_CANNOT_BE_CONTROLLED_BY_ADVERSARY: "requires_environment",
    Justification.INLINE_MITIGATIONS_ALREADY_EXIST: "protected_by_mitigating_control",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability of one package, and what the decision comes to about it.

    A waiver with a justification says that the image is not affected; one without only accepts that it is.
    """

    violation: Violation
    exemption: Exemption | None

    @property
    def status(self) -> VexStatus:
        justified = self.exemption is not None and (
            self.exemption.justification is not None or self.exemption.vulnerability is not None
        )
        return VexStatus.NOT_AFFECTED if justified else VexStatus.AFFECTED

    @property
    def words(self) -> str:
        """Why it does not matter, or what to do."""
        if self.exemption is None:
            return self.violation.remedy or "none is known"
        reason = self.exemption.reason or "see the statement"
        if self.status is VexStatus.NOT_AFFECTED:
            return reason
        return f"accepted by {self.exemption.by} until {self.exemption.until.date()}: {reason}"


def to_openvex(decision: Decision, *, author: str) -> bytes:
    """The findings of a decision about an image as an OpenVEX 0.2.0 document, always the same bytes.

    Raises InvalidInput when the decision is about a lock: there is no product yet.
    """
    image = _image(decision)
    statements = [_openvex(finding, image) for finding in findings(decision)]
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "author": author,
        "timestamp": _time(decision.at),
        "version": 1,
        "statements": statements,
    }
    name = Digest.of(json.dumps(document, sort_keys=True).encode()).hex
    return _bytes({"@id": f"urn:mlbuild:vex:{name}", **document})


def to_cyclonedx(decision: Decision, *, author: str) -> bytes:
    """As to_openvex, as the vulnerabilities of a CycloneDX 1.6 document."""
    image = _image(decision)
    found = findings(decision)
    purls = sorted({one.violation.culprit for one in found})
    return _bytes(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": _time(decision.at),
                "authors": [{"name": author}],
                "component": {
                    "type": "container",
                    "name": decision.subject.repository,
                    "version": decision.subject.digest,
                    "bom-ref": image,
                    "purl": image,
                },
            },
            "components": [_component(purl) for purl in purls],
            "vulnerabilities": [_cyclonedx(one) for one in found],
        }
    )


def findings(decision: Decision) -> tuple[Finding, ...]:
    """Each vulnerability of each package once, sorted; what excuses it in one rule counts before what does not."""
    exemptions = {(one.file, one.vulnerability): one for one in decision.exemptions}
    found: dict[tuple[str, str], Finding] = {}
    for violation in _vulnerabilities(decision):
        key = (violation.culprit, violation.key)
        file = violation.waiver or ""
        exemption = exemptions.get((file, violation.key)) or exemptions.get((file, None))
        if key not in found or found[key].exemption is None:
            found[key] = Finding(violation, exemption)
    return tuple(found[key] for key in sorted(found))


def _vulnerabilities(decision: Decision) -> Iterator[Violation]:
    for outcome in decision.outcomes:
        if outcome.check == VULNERABILITIES:
            yield from (one for one in outcome.violations if one.culprit.startswith("pkg:"))


def _image(decision: Decision) -> str:
    subject = decision.subject
    if subject.digest is None:
        raise InvalidInput(
            "VEX is about an image, and this decision is about a lock", remedy="Build the image, then judge it."
        )
    name = subject.repository.rpartition("/")[2]
    return PackageURL("oci", None, name, subject.digest, {"repository_url": f"/{subject.repository}"}).to_string()


def _openvex(finding: Finding, image: str) -> dict[str, Any]:
    violation = finding.violation
    vulnerability: dict[str, Any] = {"name": violation.key}
    if violation.aliases:
        vulnerability["aliases"] = list(violation.aliases)
    statement: dict[str, Any] = {
        "vulnerability": vulnerability,
        "products": [
            {
                "@id": image,
                "identifiers": {"purl": image},
                "subcomponents": [{"@id": violation.culprit, "identifiers": {"purl": violation.culprit}}],
            }
        ],
        "status": finding.status.value,
    }
    if finding.status is VexStatus.AFFECTED:
        return {**statement, "action_statement": finding.words}
    if finding.exemption is not None and finding.exemption.justification is not None:
        statement["justification"] = finding.exemption.justification
    return {**statement, "impact_statement": finding.words}


def _component(purl: str) -> dict[str, Any]:
    return {"type": "library", "name": label(purl), "bom-ref": purl, "purl": purl}


def _cyclonedx(finding: Finding) -> dict[str, Any]:
    analysis: dict[str, Any] = {"state": _CYCLONEDX_STATES[finding.status], "detail": finding.words}
    if finding.exemption is not None and finding.exemption.justification is not None:
        justification = Justification(finding.exemption.justification)
        analysis["justification"] = _CYCLONEDX_JUSTIFICATIONS[justification]
    violation = finding.violation
    found: dict[str, Any] = {
        "id": violation.key,
        "analysis": analysis,
        "affects": [{"ref": violation.culprit}],
    }
    if violation.aliases:
        found["references"] = [{"id": name, "source": {"name": "alias"}} for name in violation.aliases]
    return found


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _bytes(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
