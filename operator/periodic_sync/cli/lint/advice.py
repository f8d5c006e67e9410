"""What the API server can't know, and what is seldom meant. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from periodic_sync.api.durations import format_duration
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.api.worker_spec import Http
from periodic_sync.cli.lint.findings import Finding, Path, Severity
from periodic_sync.core.calendar import UnknownTimeZoneError, find_zone

_HTTP: Path = ("spec", "worker", "http")


def advise(spec: SyncPolicySpec) -> Iterator[Finding]:
    """spec: one that the API server takes."""
    yield from _zone(spec)
    yield from _intervals(spec)
    if spec.worker.http:
        yield from _address(spec.worker.http)
        yield from _token(spec.worker.http)
        yield from _deadline(spec, spec.worker.http)
    yield from _image(spec.worker.image)


def _zone(spec: SyncPolicySpec) -> Iterator[Finding]:
    try:
        find_zone(spec.market_hours.time_zone)
    except UnknownTimeZoneError as error:
        yield Finding(Severity.ERROR, ("spec", "marketHours", "timeZone"), f"{error}; the policy would be Stalled")


def _intervals(spec: SyncPolicySpec) -> Iterator[Finding]:
    if spec.intervals.market_hours > spec.intervals.off_hours:
        yield _advice(
            ("spec", "intervals", "marketHours"),
            f"users are synced less often in market hours ({format_duration(spec.intervals.market_hours)}) than "
            f"outside ({format_duration(spec.intervals.off_hours)}): is that meant?",
        )
    longer = max(spec.intervals.market_hours, spec.intervals.off_hours)
    if spec.thresholds.stale < longer:
        yield _advice(
            ("spec", "thresholds", "stale"),
            f"it is shorter than the longer interval ({format_duration(longer)}), at which everybody comes due as "
            "stale, at priority High, and nobody as Medium",
        )


def _address(http: Http) -> Iterator[Finding]:
    host = urlsplit(http.url).hostname or ""
    if host.endswith(".invalid"):
        yield Finding(Severity.WARNING, (*_HTTP, "url"), "no such host can exist: fill in the address of your service")
    if not ("{userId}" in http.url or "{wallet}" in http.url or http.body is not None):
        yield _advice((*_HTTP, "url"), "neither {userId} nor {wallet} is in it, and there is no body: how does your "
                      "service know whom to sync?")  # fmt: skip
    if (
        http.url.startswith("http://")
        and "." in host
        and not host.endswith((".svc", ".local", ".internal", ".invalid"))
    ):
        yield _advice((*_HTTP, "url"), "this host may be outside the cluster, and http:// can be read on the way")


def _token(http: Http) -> Iterator[Finding]:
    for at, header in enumerate(http.headers or ()):
        if header.name.lower() in ("authorization", "x-api-key", "cookie"):
            yield Finding(
                Severity.WARNING,
                (*_HTTP, "headers", at),
                f"whoever may read the policy reads {header.name} too: put the token into a Secret and name it in "
                "worker.http.bearerTokenSecretRef",
            )


def _deadline(spec: SyncPolicySpec, http: Http) -> Iterator[Finding]:
    rounds = -(-spec.batch_size // http.concurrency)
    longest = rounds * http.timeout
    if longest > spec.jobs.deadline:
        yield _advice(
            ("spec", "jobs", "deadline"),
            f"a batch of {spec.batch_size} users, {http.concurrency} at once, can take {format_duration(longest)} "
            f"where each call needs its {format_duration(http.timeout)}; it is ended after "
            f"{format_duration(spec.jobs.deadline)}: lengthen jobs.deadline, or lower batchSize or worker.http.timeout",
        )


def _image(image: str) -> Iterator[Finding]:
    name = image.rpartition("/")[2]
    if image and "@" not in name and (":" not in name or name.endswith(":latest")):
        yield _advice(("spec", "worker", "image"), "without a version's tag or digest it changes when nobody looks")


def _advice(path: Path, message: str) -> Finding:
    return Finding(Severity.ADVICE, path, message)
