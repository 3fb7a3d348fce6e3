"""Which vulnerabilities are exploited, or likely to be: EPSS scores and CISA's catalogue, as they are published.

Both are optional files of a policy directory, `data/epss.csv` and `data/kev.json`; they are part of its digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import InvalidInput
from compliance.evidence import Evidence, Vulnerability, VulnerabilityScan
from compliance.strict_json import parse_object, validated

EPSS_HEADER: Final = "cve,epss,percentile"
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_SCORE: Final = re.compile(r"[0-9](\.[0-9]{1,20})?(e-[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Threats:
    """EPSS scores by CVE, and the CVEs that are known to be exploited; None where no catalogue was given."""

    epss: Mapping[str, float] = field(default_factory=dict)
    exploited: frozenset[str] | None = None

    def enrich(self, evidence: Evidence) -> Evidence:
        """The evidence with what is known of each vulnerability, by its id or an alias. The worst counts."""
        scan = evidence.vulnerabilities
        if not isinstance(scan, VulnerabilityScan) or (not self.epss and self.exploited is None):
            return evidence
        known = tuple(self._enriched(found) for found in scan.vulnerabilities)
        return replace(evidence, vulnerabilities=replace(scan, vulnerabilities=known))

    def _enriched(self, found: Vulnerability) -> Vulnerability:
        names = (found.id, *found.aliases)
        scores = [self.epss[name] for name in names if name in self.epss]
        if found.epss is not None:
            scores.append(found.epss)
        exploited = found.known_exploited
        if self.exploited is not None:
            exploited = bool(exploited) or not self.exploited.isdisjoint(names)
        return replace(found, epss=max(scores, default=None), known_exploited=exploited)


def parse_epss(raw: bytes, what: str) -> Mapping[str, float]:
    """EPSS scores as https://www.first.org/epss/ publishes them, unpacked. Raises InvalidInput with the line."""
    try:
        lines = raw.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{what} is not EPSS's CSV: it holds other than ASCII characters") from error
    begin = 1 if lines and lines[0].startswith("#") else 0
    if len(lines) <= begin or lines[begin] != EPSS_HEADER:
        raise InvalidInput(f"{what}:{begin + 1}: is not EPSS's CSV: the header {EPSS_HEADER!r} is missing")
    scores: dict[str, float] = {}
    for number, line in enumerate(lines[begin + 1 :], begin + 2):
        name, _, rest = line.partition(",")
        score = rest.partition(",")[0]
        if not _CVE.fullmatch(name) or not _SCORE.fullmatch(score) or float(score) > 1:
            raise InvalidInput(f"{what}:{number}: is not a CVE with a score from 0 to 1: {line[:80]!r}")
        if name in scores:
            raise InvalidInput(f"{what}:{number}: {name} stands twice")
        scores[name] = float(score)
    return scores


NO_THREATS: Final = Threats()


class _Exploited(BaseModel):
    model_config = ConfigDict(extra="ignore")

    cve: str = Field(alias="cveID", pattern=rf"^{_CVE.pattern}$")


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="ignore")

    vulnerabilities: tuple[_Exploited, ...]
    count: int


def parse_kev(raw: bytes, what: str) -> frozenset[str]:
    """CISA's Known Exploited Vulnerabilities catalogue, in JSON. Raises InvalidInput when it is not whole."""
    catalogue = validated(parse_object(raw, what), _Catalogue, f"KEV catalogue ({what})")
    if len(catalogue.vulnerabilities) != catalogue.count:
        raise InvalidInput(
            f"{what} names {len(catalogue.vulnerabilities)} vulnerabilities and says it has {catalogue.count}",
            remedy="Download it again.",
        )
    return frozenset(one.cve for one in catalogue.vulnerabilities)
