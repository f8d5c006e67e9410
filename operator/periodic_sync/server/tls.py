"""TLS with a certificate that is renewed while the server runs, as cert-manager and Kubernetes do it."""

import asyncio
import logging
import ssl
from pathlib import Path

LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


class Certificates:
    """`context` is for the server; each new connection gets the certificate that was read last."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises: OSError, ssl.SSLError where they can't be used."""
        self._certificate, self._key = certificate, key
        self._content = self._read()
        self._latest = self.context = self._new_context()
        self.context.sni_callback = self._choose  # called without a name as well

    def reload(self) -> bool:
        """Read them again. Returns: whether there are new ones. Those that can't be used change nothing."""
        try:
            content = self._read()
            if content == self._content:
                return False
            self._latest = self._new_context()
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate can't be read, the one before stays", extra={"error": str(error)})
            return False
        self._content = content
        log.info("certificate renewed")
        return True

    async def keep_reloading(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.reload()

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if self._latest is not self.context:
            connection.context = self._latest

    def _read(self) -> tuple[bytes, bytes]:
        return self._certificate.read_bytes(), self._key.read_bytes()

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        return context
