"""What VEX statements (Vulnerability Exploitability eXchange) say of findings, and decisions told as such.

A statement counts where the policy of a rule trusts its author, in words, and for the days that the policy
gives it. Of several about one finding the newest counts; of equally new ones the least favourable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from packageurl import PackageURL

from compliance.evidence import Subject
from compliance.policy.decision import Violation
from compliance.policy.pattern import folded


class VexStatus(StrEnum):
    """What a statement says of a vulnerability in a product, the least favourable first."""

    AFFECTED = "affected"
    UNDER_INVESTIGATION = "under_investigation"
    FIXED = "fixed"
    NOT_AFFECTED = "not_affected"


class Justification(StrEnum):
    """Why a vulnerability does not matter (OpenVEX 0.2.0, "Status Justifications")."""

    COMPONENT_NOT_PRESENT = "component_not_present"
    VULNERABLE_CODE_NOT_PRESENT = "vulnerable_code_not_present"
    VULNERABLE_CODE_NOT_IN_EXECUTE_PATH = "vulnerable_code_not_in_execute_path"
    VULNERABLE_CODE_CANNOT_BE_CONTROLLED_BY_ADVERSARY = "vulnerable_code_cannot_be_controlled_by_adversary"
    INLINE_MITIGATIONS_ALREADY_EXIST = "inline_mitigations_already_exist"


_FAVOUR: Final = {status: rank for rank, status in enumerate(VexStatus)}


@dataclass(frozen=True, slots=True)
class VexProduct:
    """What a statement is about: a package, or an image (purl type `oci`) and, of it, certain packages."""

    purl: PackageURL
    parts: tuple[PackageURL, ...] = ()

    def covers(self, violation: Violation, subject: Subject) -> bool:
        """Whether the finding is in this product. A version that is left out fits any."""
        culprit = _parsed(violation.culprit)
        if culprit is None:
            return False
        if self.purl.type != "oci":
            return not self.parts and _fits(self.purl, culprit)
        return _is_image(self.purl, subject) and (
            not self.parts or any(_fits(part, culprit) for part in self.parts)
        )

    def is_image(self, subject: Subject) -> bool:
        """Whether it is about the subject, or packages in it, and no other image."""
        return self.purl.type == "oci" and _is_image(self.purl, subject)

    @property
    def names_version(self) -> bool:
        """Whether it is about certain versions only."""
        return all(one.version for one in (self.parts or (self.purl,)))


def _parsed(purl: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(purl)
    except ValueError:
        return None


def _fits(named: PackageURL, found: PackageURL) -> bool:
    return (
        (named.type, folded(named.name)) == (found.type, folded(found.name))
        and named.namespace in (None, found.namespace)
        and named.version in (None, found.version)
        and all(found.qualifiers.get(key) == value for key, value in named.qualifiers.items())
    )


def _is_image(purl: PackageURL, subject: Subject) -> bool:
    """Whether an `oci` purl names the subject: by digest, or by repository_url where it gives no digest."""
    if purl.version:
        return purl.version == subject.digest
    _, slash, repository = str(purl.qualifiers.get("repository_url", "")).partition("/")
    return bool(slash) and repository == subject.repository


@dataclass(frozen=True, slots=True)
class VexStatement:
    """One statement of a file: `names` are the vulnerability's id and aliases. `reason` is in free words."""

    file: str
    author: str
    made: datetime
    names: tuple[str, ...]
    status: VexStatus
    products: tuple[VexProduct, ...]
    justification: Justification | None = None
    reason: str = ""

    def is_about(self, violation: Violation, subject: Subject) -> bool:
        """Whether the finding is in one of its products."""
        return any(product.covers(violation, subject) for product in self.products)

    @property
    def excuses(self) -> bool:
        """`fixed` only counts of certain versions: nothing is fixed in every version."""
        if self.status is VexStatus.FIXED:
            return all(product.names_version for product in self.products)
        return self.status is VexStatus.NOT_AFFECTED


@dataclass(frozen=True, slots=True)
class VexTrust:
    """Whose statements count for a policy's rules, and for how many days after they were made."""

    authors: tuple[str, ...] = ()
    days: int = 365


@dataclass(frozen=True, slots=True)
class VexBook:
    """The statements of a directory, found by vulnerability."""

    statements: tuple[VexStatement, ...] = ()
    by_name: Mapping[str, tuple[VexStatement, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, statements: Iterable[VexStatement]) -> VexBook:
        found: dict[str, list[VexStatement]] = {}
        kept = tuple(statements)
        for statement in kept:
            for name in statement.names:
                found.setdefault(name, []).append(statement)
        return cls(kept, MappingProxyType({name: tuple(those) for name, those in found.items()}))

    def about(self, violation: Violation, trust: VexTrust, subject: Subject, at: datetime) -> VexStatement | None:
        """The statement that counts for a finding at this time, whatever it says."""
        newest = self.newest(violation, trust, subject, at)
        return newest if newest is not None and at - newest.made <= timedelta(days=trust.days) else None

    def newest(self, violation: Violation, trust: VexTrust, subject: Subject, at: datetime) -> VexStatement | None:
        """The statement on a finding that no other has replaced, even if it is too old to count."""
        those = {
            id(one): one for name in (violation.key, *violation.aliases) for one in self.by_name.get(name, ())
        }
        fitting = [
            one
            for one in those.values()
            if one.author in trust.authors and one.made <= at and one.is_about(violation, subject)
        ]
        return max(fitting, key=lambda one: (one.made, -_FAVOUR[one.status]), default=None)


TRUSTS_NOBODY: Final = VexTrust()
NO_VEX: Final = VexBook()


def excuse(
    violations: Sequence[Violation], book: VexBook, trust: VexTrust, subject: Subject, at: datetime
) -> tuple[Violation, ...]:
    """The violations; those that no waiver covers and a trusted statement says do not matter name its file."""
    if not book.statements or not trust.authors:
        return tuple(violations)
    return tuple(_excused(one, book, trust, subject, at) for one in violations)


def _excused(violation: Violation, book: VexBook, trust: VexTrust, subject: Subject, at: datetime) -> Violation:
    if violation.waiver is not None:
        return violation
    found = book.about(violation, trust, subject, at)
    return replace(violation, waiver=found.file) if found is not None and found.excuses else violation
