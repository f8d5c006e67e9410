"""A certificate authority for each cluster and a certificate for each of its identities, by the openssl command."""

import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import LocalClusterError

_DAYS = "3650"
_CONFIG = """
[req]
distinguished_name = name
prompt = no
string_mask = utf8only
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for: a Kubernetes user and group, and the addresses it may be served from."""

    name: str
    user: str
    group: str = ""
    hosts: Sequence[str] = ()
    addresses: Sequence[str] = ()

    @property
    def subject(self) -> str:
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"

    @property
    def extensions(self) -> str:
        places = [f"DNS:{host}" for host in self.hosts] + [f"IP:{address}" for address in self.addresses]
        return _CONFIG + (f"subjectAltName = {', '.join(places)}\n" if places else "")


class Authority:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        return self.folder / "ca.key"

    def paths(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def establish(self, common_name: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._config("ca", _CONFIG)
        _new_key(self.key)
        _openssl(
            "req", "-x509", "-new", "-key", self.key, "-out", self.certificate, "-days", _DAYS,
            "-subj", f"/CN={common_name}", "-config", config, "-extensions", "authority",
        )  # fmt: skip

    def issue(self, identity: Identity) -> None:
        certificate, key = self.paths(identity.name)
        request = certificate.with_suffix(".csr")
        config = self._config(identity.name, identity.extensions)
        _new_key(key)
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", identity.subject, "-config", config)
        _openssl(
            "x509", "-req", "-in", request, "-out", certificate, "-CA", self.certificate, "-CAkey", self.key,
            "-set_serial", f"0x{secrets.token_hex(16)}", "-days", _DAYS, "-extfile", config, "-extensions", "leaf",
        )  # fmt: skip

    def make_token_keys(self) -> tuple[Path, Path]:
        """The pair that signs and checks service account tokens."""
        public, private = self.folder / "service-accounts.pub", self.folder / "service-accounts.key"
        _new_key(private)
        _openssl("pkey", "-in", private, "-pubout", "-out", public)
        return public, private

    def _config(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.cnf"
        path.write_text(text)
        return path


def _new_key(path: Path) -> None:
    path.touch(mode=0o600)
    # The API server reads elliptic keys only in the older of their two forms.
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise LocalClusterError(f"'{' '.join(command)}' failed:\n{result.stderr.strip()[-800:]}")
