"""From a file and the environment to settings, or to every mistake in them at once. No secret is ever shown."""

import json
import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from entity_stream.core.mistake import Mistake
from entity_stream.settings.kinds import NAME, Kind, Missing, Wrong
from entity_stream.settings.model import PREFIX, Settings, variable
from entity_stream.settings.resources import Listed, without_keys
from entity_stream.settings.variables import kind_of, secrets, variables


class Mistakes(ExceptionGroup[Mistake]):
    """All that is wrong with the settings."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Each on its own."""
        return tuple(each for each in self.exceptions if isinstance(each, Mistake))

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class _Given(NamedTuple):
    value: str
    place: str


_Gathered = dict[str, _Given]

ENVIRONMENT: Final = "environment"

KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
POD: Final = "HOSTNAME"
"""What Kubernetes puts into every container, and the pod's name there."""

LINE = re.compile(r"""\s*(?:export\s+)?(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|(?!['"])(.*?))(?:\s+\#.*)?\s*""", re.ASCII)
"""NAME=value; quotes around the value are left out, what is in it is taken as it is."""

LOOKS_LIKE_OURS = re.compile(r"^ENTITY_?STREAMS?_?")

SERVICE_LINK = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*|\w+_PORT=\w+://.*")
"""What Kubernetes puts into every container for a service that is called entity-stream."""


NOTHING: Final = {
    "kafka_bootstrap_servers": "nowhere.invalid:9092",
    "input_topic": "no-input",
    "output_topic": "no-output",
    "language_endpoint": "https://nowhere.invalid",
    "language_key": "no-key",
    "language_project": "no-project",
    "language_deployment": "no-deployment",
}
"""What is required, where it is left out."""

KAFKA: Final = frozenset(field for field in Settings.model_fields if field.startswith("kafka_")) | {"input_topic"}
"""Who does not read from the brokers does without these."""

OUTCOMES: Final = frozenset(
    {
        "output_topic",
        "dead_letter_topic",
        "language_endpoint",
        "language_key",
        "language_project",
        "language_deployment",
        "language_ca_file",
    }
)
"""Who asks for no entities and publishes none does without these."""

DEFAULT_ROUTE: Final = frozenset({"language_project", "language_deployment"})
"""Done without only where they are not given: the routes that are set may be those of who has them."""


def load(
    config: Path | None = None, environ: Mapping[str, str] = os.environ, without: Collection[str] = ()
) -> Settings:
    """Read the settings from a file of NAME=value lines and from the environment, which wins. Raises Mistakes.

    What neither gives, the place where we run may. Fields that the caller does `without` are not looked at (but for
    the default route, where it is given): they hold something that nobody may use.
    """
    mistakes: list[Mistake] = []
    environment = {name: _Given(value, ENVIRONMENT) for name, value in environ.items()}
    layers = [_from_kubernetes(environ), _lines(config, mistakes) if config else {}, environment]
    given: _Gathered = {}
    for layer in layers:
        mistakes += _strangers(layer)
        _lay_over(given, layer)
    for field in without:
        _leave_out(given, field)
    _open_secrets(given, mistakes)
    listed = variable("resources")
    if "language_key" in without and listed in given:
        given[listed] = given[listed]._replace(value=without_keys(given[listed].value))
    settings = _validated(given, mistakes)
    if settings is None or mistakes:
        raise Mistakes("the settings are wrong", mistakes)
    return settings


def _from_kubernetes(environ: Mapping[str, str]) -> _Gathered:
    """Name a member of the group as its pod is named: whatever is restarted there takes its place again."""
    if KUBERNETES not in environ or POD not in environ:
        return {}
    return {variable("kafka_group_instance_id"): _Given(environ[POD], f"{ENVIRONMENT}, {POD}")}


def _lines(config: Path, mistakes: list[Mistake]) -> _Gathered:
    """Read a file of NAME=value lines. A line that is none is told by its number: it may hold a secret."""
    try:
        text = config.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        told = Mistake(f"cannot read {config}: {_why(error)}", "--config", "Name a text file that exists.")
        raise Mistakes("the settings cannot be read", [told]) from error  # what it would have set is not missing
    found: _Gathered = {}
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{config}, line {number}"
        if match := LINE.fullmatch(line):
            found[match[1]] = _Given(match[2] or match[3] or match[4] or "", place)
        elif line.strip() and not line.lstrip().startswith("#"):
            mistakes.append(
                Mistake("not a setting", place, "Write NAME=value, close every quote, and put # before a comment.")
            )
    return found


def _why(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or "not the path of a text file"


def _strangers(layer: _Gathered) -> list[Mistake]:
    """Find variables that look like ours and are not. Their values are not shown: one may be a misspelled secret."""
    known = [each.name.removeprefix(PREFIX) for each in variables()]
    mistakes = []
    for name, (value, place) in layer.items():
        short = LOOKS_LIKE_OURS.sub("", name.upper())
        ours = short != name.upper() or (name in known and place != ENVIRONMENT)
        read = name.startswith(PREFIX) and name.removeprefix(PREFIX) in known
        if ours and not read and not SERVICE_LINK.fullmatch(f"{name}={value}"):
            close = get_close_matches(short, known, 1)
            fix = f"Did you mean {PREFIX}{close[0]}?" if close else "Remove it: nothing would read it."
            mistakes.append(Mistake(f"there is no setting {name}", place, fix))
    return mistakes


def _lay_over(given: _Gathered, layer: _Gathered) -> None:
    """Let a layer win over what is below it. An empty value counts as none, a secret and its file as one variable."""
    filled = {name: each for name, each in layer.items() if each.value}
    for secret in secrets():
        if {secret, secret + "_FILE"} & filled.keys():
            given.pop(secret, None)
            given.pop(secret + "_FILE", None)
    given.update(filled)


def _leave_out(given: _Gathered, field: str) -> None:
    name = variable(field)
    if field not in DEFAULT_ROUTE:
        for each in (name, name + "_FILE"):
            given.pop(each, None)
    if field in NOTHING:
        given.setdefault(name, _Given(NOTHING[field], ENVIRONMENT))


def _open_secrets(given: _Gathered, mistakes: list[Mistake]) -> None:
    """Put what a secret's file holds in the secret's place."""
    for secret in secrets():
        name = secret + "_FILE"
        if (file := given.pop(name, None)) is None:
            continue
        if secret in given:
            mistakes.append(Mistake(f"{secret} and {name} are both set", file.place, "Keep one of them."))
            continue
        try:
            given[secret] = _Given(Path(file.value).read_text("utf-8").rstrip("\r\n"), file.value)
        except (OSError, ValueError) as error:
            # the path is not told: one who mistakes a secret for its file gives the secret itself
            what = f"{name} names a file that cannot be read: {_why(error)}"
            mistakes.append(Mistake(what, file.place, "Name a text file that this user may read."))
            given[secret] = _Given("unknown", file.place)  # so that it does not count as missing, too


def _validated(given: _Gathered, mistakes: list[Mistake]) -> Settings | None:
    names = {field: variable(field) for field in Settings.model_fields}
    try:
        return Settings.model_validate({field: given[name].value for field, name in names.items() if name in given})
    except ValidationError as error:
        mistakes += [_translated(each, given) for each in error.errors(include_url=False, include_input=False)]
        return None


COMPLAINTS = {
    "missing": "and it is required",
    "greater_than_equal": "which is too small",
    "less_than_equal": "which is too large",
}
"""What pydantic's types of errors mean; all others mean: not of its kind."""


def _translated(error: Mapping[str, Any], given: _Gathered) -> Mistake:
    field, *inside = error["loc"] or ["resources"]  # what the settings say together is about these
    found = given.get(variable(field))
    if found and inside:
        return _translated_inside(error, found, *inside)
    complaint, fix = _told(error, kind_of(Settings.model_fields[field]))
    value, place = (_shown(field, found.value), found.place) if found else ("not set", ENVIRONMENT)
    return Mistake(f"{variable(field)} is {value}, {complaint}", place, fix)


def _told(error: Mapping[str, Any], kind: Kind) -> tuple[str, str]:
    """Say what is wrong, and how to mend it."""
    match error.get("ctx"):
        case {"error": Wrong() as wrong}:
            return wrong.complaint, wrong.fix
        case {"error": Missing()}:
            return COMPLAINTS["missing"], f"Give {kind.words()}."
    return COMPLAINTS.get(error["type"], f"which is not {kind.noun}"), f"Give {kind.words()}."


def _translated_inside(error: Mapping[str, Any], found: _Given, index: int, member: str = "", *_: object) -> Mistake:
    """Tell what is wrong with one of the resources: its place in the list, its name, the member."""
    listed = json.loads(found.value)[index]
    members = listed if isinstance(listed, dict) else {}
    named = f", {members['name']!r}" if NAME.fullmatch(str(members.get("name", ""))) else ""
    where = f"{variable('resources')}, resource {index + 1}{named}"
    if member and member not in Listed.model_fields:
        close = get_close_matches(member, Listed.model_fields, 1)
        fix = f"Did you mean {close[0]}?" if close else "Remove it: nothing would read it."
        return Mistake(f"{where}: there is no member {_shortened(member)}", found.place, fix)
    complaint, fix = _told(error, kind_of(Listed.model_fields[member]) if member else Kind("an object"))
    if member:
        value = _shown(f"language_{member}", str(members[member])) if member in members else "not set"
        where = f"{where}: {member} is {value}"
    return Mistake(f"{where}, {complaint}", found.place, fix)


def _shown(field: str, value: str) -> str:
    """Quote a value, unless it is a secret, or may hold or be one that went astray."""
    if not value:
        return "empty"
    astray = "@" in value or (field == "language_endpoint" and not re.fullmatch(r"https?://[^?#]*", value))
    return "'***'" if astray or variable(field) in secrets() else _shortened(value)


def _shortened(value: str) -> str:
    return ascii(value if len(value) <= 60 else value[:57] + "...")
