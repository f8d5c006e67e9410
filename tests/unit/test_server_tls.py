"""A certificate that is renewed while connections come in; real sockets on loopback."""

import asyncio
import shutil
import ssl
from pathlib import Path

from periodic_sync.server.tls import Certificates
from redis_support import Certificates as Made
from redis_support import make_certificates


async def trusts(port: int, made: Made) -> bool:
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=ssl.create_default_context(cafile=str(made.authority))
        )
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    return True


async def test_new_connections_get_the_certificate_that_was_read_last(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "live")]
    for folder in folders:
        folder.mkdir()
    one, two = make_certificates(folders[0]), make_certificates(folders[1])
    certificate, key = folders[2] / "tls.crt", folders[2] / "tls.key"
    shutil.copy(one.certificate, certificate)
    shutil.copy(one.key, key)
    served = Certificates(certificate, key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served.context)
    port = server.sockets[0].getsockname()[1]
    assert await trusts(port, one)
    assert not served.reload()
    shutil.copy(two.certificate, certificate)
    assert not served.reload(), "a certificate without its key was taken"
    assert await trusts(port, one)
    shutil.copy(two.key, key)
    assert served.reload()
    assert await trusts(port, two)
    assert not await trusts(port, one)
    certificate.unlink()
    assert not served.reload()
    assert await trusts(port, two)
    server.close()
