"""Good files by fuzz target, to begin with."""

from __future__ import annotations

import json
from typing import Final

from tests.fuzz.targets import ADVISORY, POLICIES, ROOT

TESTS: Final = ROOT / "tests" / "compliance" / "policy"
WAIVER: Final = (
    (TESTS / "data" / "good" / "waivers" / "pillow.yaml").read_text().replace("announced", "no-known-critical")
)
VEX: Final = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "a",
    "timestamp": "2026-11-01T00:00:00Z",
    "statements": [
        {"vulnerability": "CVE-2026-1000", "products": [{"@id": "pkg:pypi/a@1"}], "status": "affected"},
        {
            "vulnerability": {"name": "CVE-2026-1001", "aliases": ["X"]},
            "products": [{"@id": "pkg:oci/a", "subcomponents": [{"@id": "pkg:pypi/a"}]}],
            "status": "not_affected",
            "justification": "component_not_present",
        },
    ],
}
SEEDS: Final[dict[str, list[bytes]]] = {
    "policy": [path.read_bytes() for path in sorted(POLICIES.glob("*.yaml"))]
    + [(TESTS / "data" / "every-check" / "every-check.yaml").read_bytes()],
    "waiver": [WAIVER.encode()],
    "advisory": [(POLICIES / "advisories" / f"{ADVISORY}.json").read_bytes()],
    "vex": [json.dumps(VEX, indent=1).encode()],
    "threats": [
        b"#model_version:v1\ncve,epss,percentile\nCVE-2026-1000,0.5,0.9\nCVE-2026-1001,2e-05,0.1\n",
        b'{"count": 1, "vulnerabilities": [{"cveID": "CVE-2026-1000"}]}',
    ],
}
