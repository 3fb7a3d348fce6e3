"""The webhook's certificate, read again when it is renewed: gates run for longer than certificates count."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput

EVERY: Final = 60.0
"""Seconds between looks. Certificates are renewed days before they end."""

log = logging.getLogger(__name__)


class Certificate:
    """What a server shows of itself, and by which authority clients must be known, if by any."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Raises InvalidInput when the files cannot be used."""
        self._certificate = certificate
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._stamp_now()
        try:
            self.context.load_cert_chain(certificate, key)
            if client_ca is not None:
                self.context.load_verify_locations(client_ca)
                self.context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # an ssl.SSLError is one
            files = ", ".join(str(each) for each in (certificate, key, client_ca) if each is not None)
            raise InvalidInput(
                f"cannot serve with the certificate of the webhook: {error.strerror or error}",
                remedy=f"Each of these is to be a PEM file that the gate may read: {files}.",
            ) from error

    async def renewed(self, every: float = EVERY) -> None:
        """Look for a renewed certificate until cancelled. New connections get it; a broken one changes nothing."""
        while True:
            await asyncio.sleep(every)
            stamp = self._stamp_now()
            if stamp == self._stamp:
                continue
            try:
                # Tried on another first: half a pair would leave the one in use broken.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
                self.context.load_cert_chain(self._certificate, self._key)
            except OSError as error:
                log.warning("%s was renewed and cannot be used (yet): %s", self._certificate, error)
                continue
            self._stamp = stamp
            log.info("%s was renewed", self._certificate)

    def _stamp_now(self) -> tuple[tuple[int, int], ...]:
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return ()
        return tuple((status.st_mtime_ns, status.st_ino) for status in found)
