"""What can be set of one resource among several. What it leaves out is as the settings of the single one say."""

import json
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from entity_stream.core.journal import mark
from entity_stream.settings.kinds import Key, Kind, Mark, Name, Quota, Rate, Routes, Switch, Url, Wrong

MOST: Final = 8
"""Resources that a journal has room to name."""


class Listed(BaseModel):
    """One resource of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    name: Name
    endpoint: Url | None = None
    key: Key | None = None
    project: Name | None = None
    deployment: Name | None = None
    weight: Annotated[Rate, Field(ge=0.01, le=100)] = 1.0
    quota: Quota | None = None
    draining: Switch = False
    routes: Routes | None = None

    @model_validator(mode="before")
    @classmethod
    def _open_key_file(cls, given: object) -> object:
        """Put what the key's file holds in the key's place. The path is not told: it may be the key itself."""
        if not isinstance(given, dict) or "key_file" not in given:
            return given
        if "key" in given:
            raise Wrong("which has key and key_file", "Keep one of them.")
        try:
            key = Path(str(given["key_file"])).read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError):
            raise Wrong("whose key_file cannot be read", "Name a text file that this user may read.") from None
        return {name: value for name, value in given.items() if name != "key_file"} | {"key": key}


def _parsed(written: object) -> object:
    """Read the list. What is wrong with it is told by its place, as it holds keys."""
    if not isinstance(written, str):
        return written
    try:
        listed = json.loads(written)
    except RecursionError:
        raise Wrong("which is nested too deeply", "Give a flat list.") from None
    except ValueError as error:
        place = f", line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Wrong(f"which is not JSON{place}", f"Give {LIST.words()}.") from None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST:
        raise Wrong("which is not a list, or too long or short", f"Give {LIST.words()}.")
    return listed


def without_keys(written: str) -> str:
    """Leave the keys and their files out of a written list. What is none stays as it is, to be told."""
    try:
        listed = json.loads(written)
    except (ValueError, RecursionError):
        return written
    if not isinstance(listed, list):
        return written
    return json.dumps([_without_key(each) if isinstance(each, dict) else each for each in listed])


def _without_key(given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if name not in {"key", "key_file"}}


LIST = Kind(
    "a list of resources",
    f"JSON, at most {MOST} objects, each with a name, and with endpoint, key or key_file, project, deployment, "
    "quota, weight, draining and routes where they are others than for all",
)
Resources = Annotated[tuple[Listed, ...], BeforeValidator(_parsed), LIST, Mark.SECRETS]


def doubled(listed: tuple[Listed, ...]) -> str | None:
    """Find a name that the journal could not tell from another."""
    marks = [mark(each.name) for each in listed]
    return next((each.name for each, known in zip(listed, marks, strict=True) if marks.count(known) > 1), None)
