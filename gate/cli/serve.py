"""`mlgate serve`, and `mlgate config`: what it would run with."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from compliance.errors import InvalidInput
from gate.cli.options import print_settings, settings_options, unknown_variables
from gate.server import serve
from gate.settings import PREFIX, configure, read_settings
from gate.telemetry.logs import start_logging


@click.command(name="serve")
@click.option("--embedded", is_flag=True, help="Run a registry of its own (the default without --upstream).")
@settings_options
def serve_command(embedded: bool, config: Path | None, **given: Any) -> None:
    """Run the gate until it is told to stop (Ctrl-C or SIGTERM).

    Every option can also be set in the environment, --trusted-keys as MLGATE_TRUSTED_KEYS, or in a file, as
    `trusted-keys: keys`. Flags win over the environment, and that over the file; `mlgate config` shows what is in
    force. Passwords and tokens have no flag. The registry behind the gate must be reachable by the gate alone:
    what goes around the gate is not judged.

    \b
    Examples:
      mlgate serve
      mlgate serve --embedded --data /var/lib/mlgate --listen 0.0.0.0:5000 \\\
          --tls-certificate gate.pem --tls-key gate.key
      mlgate serve --config /etc/mlgate/mlgate.yaml
      MLGATE_UPSTREAM_USER=gate MLGATE_UPSTREAM_PASSWORD=… mlgate serve --upstream https://registry.internal
    """
    settings = read_settings(config, **given)
    if embedded and settings.upstream is not None:
        raise InvalidInput(
            f"--embedded and the upstream {settings.upstream} exclude each other",
            remedy="Leave one of them out; the upstream may come from MLGATE_UPSTREAM.",
        )
    start_logging(settings.log_format)
    asyncio.run(serve(settings))


@click.command(name="config")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(config: Path | None, as_json: bool, **given: Any) -> None:
    """Show the settings that `mlgate serve` would run with, and where each was set. Secrets are hidden.

    \b
    Examples:
      mlgate config
      mlgate config --config /etc/mlgate/mlgate.yaml --json
    """
    unknown = unknown_variables(list(os.environ), PREFIX)
    print_settings(configure(config, **given), unknown, as_json=as_json)
