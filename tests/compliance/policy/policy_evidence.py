"""Evidence for tests of the policy engine: a good image, and ways to make it worse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from compliance.evidence import (
    Absent,
    Build,
    BuildStep,
    BuiltSdist,
    Database,
    Evidence,
    Lock,
    LockedPackage,
    Provenance,
    Sbom,
    Secret,
    Severity,
    Subject,
    Vulnerability,
    VulnerabilityScan,
)
from compliance.inventory import (
    Base,
    Ecosystem,
    Inventory,
    Layer,
    ModelFile,
    OperatingSystem,
    Origin,
    Package,
    Privilege,
    PrivilegedFile,
    Settings,
)
from compliance.oci.digest import Digest
from compliance.policy.cases import Given

AT = datetime(2026, 11, 22, tzinfo=UTC)
SUBJECT = Subject("serving/iris", "serving", Digest.of(b"image"))


def given_evidence(subject: Subject = SUBJECT, **given: Any) -> Evidence:
    """A good image's evidence, less what `given` changes, in the words of policy test files."""
    return Given.model_validate(given).evidence(subject, AT)


texts = st.text(max_size=12)
digests = st.binary(max_size=2).map(Digest.of)
times = st.datetimes(timezones=st.sampled_from([UTC, None]))
absences = st.builds(Absent, texts, st.booleans())
purls = st.one_of(
    texts, st.sampled_from(["pkg:pypi/a@1.0", "pkg:deb/debian/b@1:1~rc-1", "pkg:", "pkg:pypi/", "pkg:pypi/a@%"])
)
versions = st.one_of(texts, st.sampled_from(["1.0", "1.0.0", "2!1.0rc1", "1:1.0~rc-1"]))
packages = st.builds(
    Package,
    purls,
    texts,
    versions,
    st.sampled_from(Ecosystem),
    st.sampled_from(Origin),
    licence=st.one_of(st.none(), texts, st.sampled_from(["MIT", "MIT OR (", "GPL-3.0 WITH x", "((", "a AND b"])),
    sha256=st.one_of(st.none(), texts),
    chain=st.lists(texts, max_size=3).map(tuple),
)
vulnerabilities = st.builds(
    Vulnerability,
    texts,
    purls,
    texts,
    versions,
    st.lists(versions, max_size=3).map(tuple),
    st.sampled_from(Severity),
    texts,
    texts,
    published=st.one_of(st.none(), times),
    cvss=st.one_of(st.none(), st.floats(0, 10), st.integers(0, 10)),
    epss=st.one_of(st.none(), st.floats(0, 1)),
    known_exploited=st.one_of(st.none(), st.booleans()),
    first_seen=st.one_of(st.none(), times),
)
databases = st.builds(Database, st.sampled_from(["trivy", "advisories", "x"]), digests, times)
scans = st.builds(
    VulnerabilityScan,
    st.lists(vulnerabilities, max_size=4).map(tuple),
    st.lists(st.builds(Database, st.sampled_from(["trivy", "advisories", "x"]), digests, times), max_size=2).map(
        tuple
    ),
    st.lists(texts, max_size=1).map(tuple),
)
locked = st.builds(
    LockedPackage,
    texts,
    versions,
    st.one_of(st.none(), texts),
    st.one_of(st.none(), texts, st.sampled_from(["https://pypi.org:x/simple", "https://[::1", "file:///x"])),
    st.one_of(st.none(), texts),
    st.one_of(st.none(), times),
    st.one_of(st.none(), st.booleans()),
)
sboms = st.builds(Sbom, digests, texts, st.integers(0, 2), st.lists(purls, max_size=2).map(tuple))
words = st.lists(texts, max_size=3).map(tuple)
steps = st.builds(BuildStep, texts, st.booleans())
sdists = st.builds(BuiltSdist, texts, versions, st.one_of(st.none(), texts), st.booleans())
evidence = st.builds(
    Evidence,
    subject=st.builds(
        Subject,
        st.sampled_from(["serving/iris", "training/x", "", "a\nb"]),
        st.one_of(st.none(), st.sampled_from(["serving", "?"])),
        st.one_of(st.none(), digests),
    ),
    base=st.one_of(
        absences, st.builds(Base, texts, digests, st.just(()), texts, times, st.one_of(st.none(), times))
    ),
    inventory=st.one_of(
        absences,
        st.builds(Inventory, st.just(OperatingSystem("debian", "12")), st.lists(packages, max_size=4).map(tuple)),
    ),
    settings=st.one_of(
        absences,
        st.builds(
            Settings,
            st.one_of(texts, st.sampled_from(["0", "٠", "-0", "9" * 5000, "root:root"])),
            words,
            words,
            words,
            st.lists(st.one_of(texts, st.sampled_from(["80/tcp", "1-99999", "/"])), max_size=2).map(tuple),
            st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
            texts,
        ),
    ),
    lock=st.one_of(absences, st.builds(Lock, digests, st.lists(locked, max_size=4).map(tuple))),
    vulnerabilities=st.one_of(absences, scans),
    secrets=st.one_of(
        absences,
        st.lists(
            st.builds(
                Secret,
                texts,
                st.integers(0, 9),
                texts,
                texts,
                st.sampled_from(Severity),
                st.sampled_from(Origin),
                texts,
            ),
            max_size=3,
        ).map(tuple),
    ),
    models=st.one_of(
        absences,
        st.lists(
            st.builds(ModelFile, texts, texts, st.sampled_from(Origin), texts, st.integers(0, 9)), max_size=3
        ).map(tuple),
    ),
    sbom=st.one_of(absences, sboms),
    provenance=st.one_of(
        absences, st.builds(Provenance, texts, texts, st.one_of(st.none(), digests), st.one_of(st.none(), digests))
    ),
    layers=st.one_of(
        absences, st.lists(st.builds(Layer, digests, digests, st.integers(0, 9**12)), max_size=3).map(tuple)
    ),
    privileged=st.one_of(
        absences,
        st.lists(
            st.builds(
                PrivilegedFile,
                texts,
                st.lists(st.sampled_from(Privilege), min_size=1, max_size=2, unique=True).map(tuple),
                st.sampled_from(Origin),
            ),
            max_size=2,
        ).map(tuple),
    ),
    build=st.one_of(
        absences,
        st.builds(Build, st.lists(steps, max_size=2).map(tuple), st.lists(sdists, max_size=2).map(tuple)),
    ),
)
