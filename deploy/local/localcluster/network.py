"""Each cluster's own addresses, and the cable between its network namespace and the machine."""

import ipaddress
import json
import socket
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.waiting import wait_until

# Private ranges few use, and at last the one that is reserved for benchmarks of isolated networks.
_RANGES = (IPv4Network("10.205.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("198.18.0.0/16"))
_BLOCK_PREFIX = 20
# Below the kernel's usual range for outgoing connections, so that a stopped API server finds its port free again.
_PORTS = range(21000, 29000)


@dataclass(frozen=True)
class Block:
    """One cluster's addresses: a quarter for the cable, one for pods, one for services."""

    network: IPv4Network

    @property
    def _quarters(self) -> list[IPv4Network]:
        return list(self.network.subnets(prefixlen_diff=2))

    @property
    def host(self) -> IPv4Address:
        return self._quarters[0][1]

    @property
    def node(self) -> IPv4Address:
        return self._quarters[0][2]

    @property
    def pods(self) -> IPv4Network:
        return self._quarters[1]

    @property
    def services(self) -> IPv4Network:
        return self._quarters[2]

    @property
    def api_service(self) -> IPv4Address:
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        return self.services[10]


def choose_block(in_use: Collection[IPv4Network]) -> Block:
    for wide in _RANGES:
        for candidate in wide.subnets(new_prefix=_BLOCK_PREFIX):
            if not any(candidate.overlaps(other) for other in in_use):
                return Block(candidate)
    raise LocalClusterError(
        f"No free addresses for another cluster in {', '.join(map(str, _RANGES))}: delete one (see 'get clusters')."
    )


def choose_port(taken: Collection[int]) -> int:
    for port in _PORTS:
        if port not in taken and _is_free(port):
            return port
    raise LocalClusterError(f"No free port on 127.0.0.1 between {_PORTS[0]} and {_PORTS[-1]}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def machine_networks() -> set[IPv4Network]:
    """Every network the machine has a route to, the default route apart: taking one of them would cut it off."""
    routes = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    return set(_destinations(str(route.get("dst", "default")) for route in routes))


def _destinations(texts: Iterable[str]) -> Iterable[IPv4Network]:
    for text in texts:
        if text not in ("default", "0.0.0.0/0"):
            yield ipaddress.IPv4Network(text, strict=False)


def connect(tag: str, holder: int, block: Block) -> None:
    cut(tag)
    _ip("link", "add", tag, "type", "veth", "peer", "name", "eth0", "netns", str(holder))
    _ip("addr", "add", f"{block.host}/30", "dev", tag)
    _ip("link", "set", tag, "up")
    for inside in (
        ("link", "set", "lo", "up"),
        ("addr", "add", f"{block.node}/30", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("route", "add", "default", "via", str(block.host)),
    ):
        _run("nsenter", f"--net=/proc/{holder}/ns/net", "ip", *inside)
    # Pods and services can be reached from the machine: no two clusters share addresses, so no route is ambiguous.
    for network in (block.pods, block.services):
        _ip("route", "add", str(network), "via", str(block.node), "dev", tag)


def is_connected(tag: str) -> bool:
    return Path(f"/sys/class/net/{tag}").exists()


def cut(tag: str) -> None:
    """The kernel removes the cable soon after the namespace at its other end; then there is nothing left to cut."""
    if is_connected(tag):
        subprocess.run(["ip", "link", "delete", tag], capture_output=True, timeout=30, check=False)
    wait_until(lambda: not is_connected(tag), f"the interface {tag} to go away", 20)


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if result.returncode != 0:
        raise LocalClusterError(f"'{' '.join(command)}' failed: {result.stderr.strip()}")
    return result.stdout
