"""The same fields as variables: what each takes, and which are secrets. Documents and mistakes share these words."""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from entity_stream.settings.kinds import BYTES, Kind, Mark
from entity_stream.settings.model import Settings, variable


class Variable(NamedTuple):
    """One row of the documentation."""

    name: str
    type: str
    default: str
    description: str
    secret: bool = False
    required: bool = False


def variables() -> list[Variable]:
    """List every variable that is read."""
    return [row for name, field in Settings.model_fields.items() for row in _rows(name, field)]


def secrets() -> list[str]:
    """Name the variables that hold a secret."""
    return [variable(name) for name, field in Settings.model_fields.items() if _is_secret(field)]


def kind_of(field: FieldInfo) -> Kind:
    """Say what a field takes: its kind, completed by the choices and bounds that stand in its type."""
    marks = _marks(field)
    kind = next(mark for mark in marks if isinstance(mark, Kind))
    least, most = (next((getattr(mark, end) for mark in marks if hasattr(mark, end)), None) for end in ("ge", "le"))
    details = [kind.details] if kind.details else []
    if choices := [mark for mark in marks if isinstance(mark, str)]:
        details.append(", ".join(choices))
    if least is not None:
        details.append(f"{_spelled(least, field)} to {_spelled(most, field)}")
    return Kind(kind.noun, "; ".join(details))


def _rows(name: str, field: FieldInfo) -> list[Variable]:
    """Document a field; a secret can also be given by a file."""
    main = Variable(
        variable(name),
        kind_of(field).words(),
        _spelled(field.default, field) if not field.is_required() else "",
        field.description or "",
        _is_secret(field),
        field.is_required() or Mark.NEEDED in field.metadata,
    )
    if not main.secret:
        return [main]
    instead = f"A file that holds it, instead of {main.name}; a line end behind it is left out."
    return [main, Variable(f"{main.name}_FILE", "the path of a text file", "", instead)]


def _is_secret(field: FieldInfo) -> bool:
    return not {SecretStr, Mark.SECRETS}.isdisjoint(_marks(field))


def _marks(field: FieldInfo) -> list[object]:
    """List all that a field's type is made of: classes, choices, bounds, kinds."""
    return [*field.metadata, *_leaves(field.annotation)]


def _leaves(annotation: object) -> Iterator[object]:
    if parts := get_args(annotation):
        for part in parts:
            yield from _leaves(part)
    else:
        yield annotation


def _spelled(value: object, field: FieldInfo) -> str:
    """Write a value as it would be given."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() if BYTES in field.metadata:
            return f"{value // 1_000_000}MB"
        case float():
            return f"{value:g}"
    return str(value)
