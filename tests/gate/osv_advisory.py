"""Advisories as the security team writes them."""

from __future__ import annotations

import json


def advisory(name: str, package: str, *, fixed: str = "9.9.9", summary: str = "A hole.") -> str:
    """A vulnerability of high severity in all versions of a package below `fixed`, in OSV's format."""
    return json.dumps(
        {
            "id": name,
            "modified": "2026-11-22T00:00:00Z",
            "published": "2026-11-01T00:00:00Z",
            "summary": summary,
            "database_specific": {"severity": "HIGH"},
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": package},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                }
            ],
        }
    )
