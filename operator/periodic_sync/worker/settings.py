"""The worker's settings: `SYNC_HTTP`, which has the shape of `spec.worker.http`, and a few plain variables."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from periodic_sync.api.durations import parse_duration
from periodic_sync.worker.template import check_url

HTTP_VARIABLE = "SYNC_HTTP"
TOKEN_VARIABLE = "SYNC_HTTP_BEARER_TOKEN"
DEADLINE_VARIABLE = "SYNC_DEADLINE_SECONDS"

_TOKEN_CHARACTERS = re.compile(r"[!-~]+")  # what an HTTP header carries unharmed: visible ASCII
_METHOD = re.compile(r"[A-Z]{1,32}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class SettingsError(ValueError):
    """Settings that cannot work. Its text is a sentence for whoever wrote the SyncPolicy, and quotes no secret."""


def _to_seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("write a duration as a string, such as 30s or 500ms")
    seconds = parse_duration(value) / 1000
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


class _Part(BaseModel):
    # Unknown fields are ignored: a policy may run an older, mirrored worker image under a newer operator.
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Header(_Part):
    """One header of every call; the value is sent as it stands."""

    name: str
    value: str = ""

    @field_validator("name")
    @classmethod
    def _name_is_a_token(cls, name: str) -> str:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("is no HTTP header name: letters, digits and dashes")
        return name

    @field_validator("value")
    @classmethod
    def _value_is_one_line(cls, value: str) -> str:
        if _CONTROL.search(value):
            raise ValueError("must be a single line without control characters")
        return value


class SecretKeyRef(_Part):
    """Where the bearer token comes from. The pod resolves it; here it only tells that a token is to be expected."""

    name: str
    key: str


class HttpSettings(_Part):
    """`spec.worker.http`. `timeout` is in seconds here, `body` is a parsed JSON template or None."""

    url: str
    method: str = "POST"
    body: Any = None
    headers: tuple[Header, ...] = ()
    bearer_token_secret_ref: SecretKeyRef | None = None
    timeout: Annotated[float, BeforeValidator(_to_seconds)] = 30.0
    attempts: int = Field(default=3, ge=1, le=10)
    concurrency: int = Field(default=4, ge=1, le=100)
    requests_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("url")
    @classmethod
    def _url_can_be_called(cls, url: str) -> str:
        check_url(url)
        return url

    @field_validator("method")
    @classmethod
    def _method_is_a_word(cls, method: str) -> str:
        if not _METHOD.fullmatch(method):
            raise ValueError("must be an HTTP method in capitals, such as POST")
        return method

    @field_validator("body", mode="before")
    @classmethod
    def _body_is_json(cls, body: object) -> object:
        """A string is the template's JSON text, all else the template itself."""
        if not isinstance(body, str):
            return body
        try:
            template = json.loads(body) if body.strip() else None
        except ValueError as error:
            raise ValueError(f'is not JSON ({error}): write for example {{"user": "{{userId}}"}}') from None
        return _unwrap(template) if isinstance(template, str) else template


def _unwrap(text: str) -> object:
    """A policy may hold its template as JSON text, which an operator that passes bodies on as text wraps once more."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        return text  # a template that is nothing but a string, such as "{userId}"


@dataclass(frozen=True)
class Settings:
    """What a run needs to know besides its batch. `deadline`: seconds from the pod's start, None for no limit."""

    http: HttpSettings
    bearer_token: str | None = field(default=None, repr=False)
    deadline: float | None = None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises: SettingsError, a sentence with the field and what to write.
    """
    http = _read_http(environment.get(HTTP_VARIABLE, ""))
    return Settings(http, _read_token(environment, http), _read_deadline(environment.get(DEADLINE_VARIABLE, "")))


def _read_http(text: str) -> HttpSettings:
    if not text.strip():
        raise SettingsError(
            f"{HTTP_VARIABLE} is not set: it holds spec.worker.http of the SyncPolicy as JSON, at least a url"
        )
    try:
        return HttpSettings.model_validate(json.loads(text))
    except ValidationError as error:
        raise SettingsError(f"spec.worker.http of the SyncPolicy can't be used: {problems(error)}") from None
    except ValueError as error:
        raise SettingsError(f"{HTTP_VARIABLE} is not JSON: {error}") from None


def _read_token(environment: Mapping[str, str], http: HttpSettings) -> str | None:
    token = environment.get(TOKEN_VARIABLE, "").strip()  # Secrets made from files end with a newline
    if token and not _TOKEN_CHARACTERS.fullmatch(token):
        raise SettingsError(f"{TOKEN_VARIABLE} holds spaces, line breaks or non-ASCII characters: no HTTP header can")
    ref = http.bearer_token_secret_ref
    if ref and not token:
        raise SettingsError(
            f"bearerTokenSecretRef names key {ref.key!r} of Secret {ref.name!r}, but the token is empty: fill that key"
        )
    return token or None


def _read_deadline(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"{DEADLINE_VARIABLE} is {text!r}: it must be a number of seconds above 0")
    return seconds


def problems(error: ValidationError, most: int = 3) -> str:
    """The first few problems of a pydantic error as text. It quotes no input, which may hold wallets or secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [
        f"{'.'.join(str(part) for part in each['loc']) or 'the whole'}: {each['msg'].removeprefix('Value error, ')}"
        for each in found[:most]
    ]
    more = len(found) - most
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
