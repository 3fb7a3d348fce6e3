"""All pages, in the order in which their addresses are tried."""

from __future__ import annotations

from typing import Final

from gate.pages import (
    audit,
    files,
    images,
    impact,
    login,
    logout,
    overview,
    provider_login,
    reports,
    rules,
    searches,
)

ROUTERS: Final = (
    overview.router,
    images.router,
    reports.router,
    searches.router,
    rules.router,
    impact.router,
    audit.router,
    login.router,
    provider_login.router,
    logout.router,
    files.router,
)
