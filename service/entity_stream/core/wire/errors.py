"""The errors of the Language API, both ways; reading never raises and quotes only an error's own words.

    {"error": {"code", "message", "target"?, "details"?: [...], "innererror"?: {...the same, nested}}}

What the wire makes of it: `innererror` or `innerError`, gateways that put the HTTP status into `code`, bare
errors without the envelope, and proxies that answer with a page of HTML.
"""

import re
from typing import Final

import msgspec
from msgspec import Struct

from entity_stream.core.model import Reason


class Fault(Struct, frozen=True, omit_defaults=True):
    """One error of the API; the innermost says most precisely what was wrong."""

    code: str
    message: str
    target: str | None = None
    details: tuple["Fault", ...] = ()
    innererror: "Fault | None" = None


LONGEST_MESSAGE: Final = 300
LONGEST_CODE: Final = 64
DEEPEST: Final = 8
"""Levels of nesting that are read; the API sends two."""

_NOT_IN_A_CODE = re.compile(r"[^A-Za-z0-9_.-]+")


def encode_error(fault: Fault) -> bytes:
    """Write an error in its envelope."""
    return msgspec.json.encode({"error": fault})


def decode_error(body: bytes) -> Fault | None:
    """Read the error in a body, enveloped or bare; None where there is none."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return fault_of(value.get("error", value)) if isinstance(value, dict) else None


def fault_of(value: object, levels: int = DEEPEST) -> Fault | None:
    """Read an error out of decoded JSON, whatever it is; None where it has neither code nor message."""
    if not isinstance(value, dict) or levels == 0:
        return None
    details = value.get("details")
    inner = value.get("innererror", value.get("innerError"))
    fault = Fault(
        code=_text(value.get("code", value.get("statusCode"))),
        message=_text(value.get("message")),
        target=_text(value.get("target")) or None,
        details=tuple(filter(None, (fault_of(each, levels - 1) for each in details)))
        if isinstance(details, list)
        else (),
        innererror=fault_of(inner, levels - 1),
    )
    return fault if fault.code or fault.message or fault.innererror else None


def reason_of(fault: Fault | None, otherwise: Reason) -> Reason:
    """Say an error as a code to count by and one short line, each from the innermost level that has it."""
    code = message = ""
    while fault is not None:
        code, message = fault.code or code, fault.message or message
        fault = fault.innererror
    code = _NOT_IN_A_CODE.sub("", code)[:LONGEST_CODE]
    return Reason(code or otherwise.code, _one_line(message) or otherwise.message)


def explain(status: int, body: bytes) -> Reason:
    """Say why an HTTP answer is no success. A body without an error is not quoted: it may echo a document."""
    return reason_of(decode_error(body), Reason(str(status), "the answer says no reason"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if type(value) is int else ""


def _one_line(message: str) -> str:
    # cut before cleaning, so that the work is bounded too
    printable = "".join(char if char.isprintable() else " " for char in message[: 4 * LONGEST_MESSAGE])
    line = " ".join(printable.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"
