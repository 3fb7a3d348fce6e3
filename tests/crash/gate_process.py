"""A gate like `mlgate serve`, by a clock that is as far off as a file says, in seconds."""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gate.server import serve
from gate.settings import read_settings

OFFSET = Path(os.environ["CRASH_CLOCK"])


def now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(OFFSET.read_text() or 0))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(serve(read_settings(), now=now))
