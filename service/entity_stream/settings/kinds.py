"""What a value has to be: in code, and in words beside it, so that no mistake speaks as pydantic does.

A kind knows its own value only; what two fields say together is checked in the model.
"""

import re
from collections.abc import Callable
from datetime import date
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from entity_stream.core.model import Route
from entity_stream.core.rates import Unclear, read

T = TypeVar("T", str, SecretStr)

EARLIEST_API: Final = "2022-05-01"
"""The first version of the dialect that core/wire speaks."""


class Kind(NamedTuple):
    """What a value has to be, in words: a noun, and what it takes to be one."""

    noun: str
    details: str = ""

    def words(self) -> str:
        """Say it in full."""
        return f"{self.noun}: {self.details}" if self.details else self.noun


class Missing(ValueError):
    """There is none, and there has to be one."""


class Wrong(ValueError):
    """Says in our own words what is wrong. Any other ValueError of a check means: not of its kind."""

    def __init__(self, complaint: str, fix: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.fix = fix


def _fitting(fits: Callable[[str], object]) -> AfterValidator:
    def check(value: T) -> T:
        if not fits(value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError
        return value

    return AfterValidator(check)


def _is_a_line(text: str) -> bool:
    return text != "" and text.isprintable()


def _servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        found = re.fullmatch(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", server)
        if not found or not 1 <= int(found[1]) <= 65_535:
            raise ValueError
    return ",".join(servers)


def _url(value: str) -> str:
    parts = urlsplit(value)
    whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0  # to read the port checks it
    if not whole or not VISIBLE.fullmatch(value):
        raise ValueError
    if {"@", "?", "#"} & set(value):
        raise Wrong("which holds more than a place", "Leave out what is before @ and behind ? or #; the key is apart.")
    if "/language/" in value:
        raise Wrong("which is one address of the API", "Leave out /language and what follows it.")
    return value.rstrip("/")


def _routes(value: str) -> str:
    routes = [route.strip() for route in value.split(",")] if value else []
    if not all(ROUTE.fullmatch(route) for route in routes):
        raise ValueError
    return ",".join(routes)


def routes_of(written: str) -> list[Route]:
    """Read routes, which are well written."""
    return [Route(*route.split("/")) for route in written.split(",") if route]


def _api_version(value: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?", value):
        raise ValueError
    date.fromisoformat(value[:10])
    if value < EARLIEST_API:
        raise Wrong("which is a version with other messages", f"Give {EARLIEST_API} or a later one.")
    return value


def _pem(value: str) -> str:
    try:
        content = Path(value).read_bytes()
    except OSError as error:
        raise Wrong(f"which cannot be read: {error.strerror}", "Name a file that this user may read.") from None
    if b"-----BEGIN " not in content:
        raise Wrong("which is not in PEM format", "Convert it: a PEM file has a line with -----BEGIN in it.")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})", value):
        ip_address(value)
    return value


def _quota(value: str) -> str:
    try:
        read(value)
    except Unclear as unclear:
        raise Wrong(unclear.complaint, unclear.fix) from None
    return value


def _size(value: object) -> object:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) *(?:([kmg])(i?))?b?", str(value).lower())
    if not found:
        return value
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" kmg".index(unit) if unit else 0))


class Mark(Enum):
    """What else is to be known of a setting."""

    NEEDED = "it has no default, though it may be given elsewhere"
    SECRETS = "there are secrets in it"


ONE_OF = Kind("one of its values")
BYTES = Kind("a size", "bytes, or with a unit as in 500kB, 32MB and 64MiB")
UPPER, LOWER = BeforeValidator(str.upper), BeforeValidator(str.lower)
VISIBLE = re.compile("[!-~]+")
GROUP = re.compile("[!-~]{1,249}")
NAME = re.compile("[a-zA-Z0-9_.-]{1,50}")
ROUTE = re.compile(f"{NAME.pattern}/{NAME.pattern}")
TOPIC = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9._-]{1,249}")

Seconds = Annotated[float, Kind("a number of seconds")]
Count = Annotated[int, Kind("a whole number")]
Price = Annotated[float, Kind("a price")]
Rate = Annotated[float, Kind("a number")]
Bytes = Annotated[int, BeforeValidator(_size), BYTES]
Quota = Annotated[
    str,
    AfterValidator(_quota),
    Kind("a quota", "calls per s, min, h or day: 1000/min, or by operation: submit 10/s, submit 600/min, poll 50/s"),
]
Switch = Annotated[bool, Kind("true or false")]
Servers = Annotated[str, AfterValidator(_servers), Kind("a list of brokers", "host:port, separated by commas")]
Topic = Annotated[
    str, _fitting(TOPIC.fullmatch), Kind("a topic name", "letters, digits, '.', '_' and '-', at most 249")
]
Member = Annotated[str, _fitting(TOPIC.fullmatch), Kind("a name", "letters, digits, '.', '_' and '-', at most 249")]
Name = Annotated[str, _fitting(NAME.fullmatch), Kind("a name", "letters, digits, '.', '_' and '-', at most 50")]
Routes = Annotated[str, AfterValidator(_routes), Kind("a list of routes", "project/deployment, separated by commas")]
Header = Annotated[str, _fitting(_is_a_line), Kind("the name of a header", "one line")]
Group = Annotated[str, _fitting(GROUP.fullmatch), Kind("a group name", "visible ASCII characters, at most 249")]
User = Annotated[str, _fitting(_is_a_line), Kind("a user name", "one line")]
Url = Annotated[str, AfterValidator(_url), Kind("an address", "like https://name.cognitiveservices.azure.com")]
ApiVersion = Annotated[
    str, AfterValidator(_api_version), Kind("an API version", f"a date from {EARLIEST_API} on, also with -preview")
]
File = Annotated[str, AfterValidator(_pem), Kind("a file", "the path of one in PEM format")]
Host = Annotated[str, AfterValidator(_host), Kind("an address of this machine", "a name or an IP address, no port")]
Password = Annotated[SecretStr, _fitting(_is_a_line), Kind("a password", "one line")]
Key = Annotated[SecretStr, _fitting(VISIBLE.fullmatch), Kind("a key", "one word of visible ASCII")]
Protocol = Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], UPPER, ONE_OF]
Mechanism = Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], UPPER, ONE_OF]
Delivering = Annotated[Literal["at_least_once", "exactly_once"], LOWER, ONE_OF]
Ordering = Annotated[Literal["key", "partition", "unordered"], LOWER, ONE_OF]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UPPER, ONE_OF]
Format = Annotated[Literal["auto", "json", "text"], LOWER, ONE_OF]
