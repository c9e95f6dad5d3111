"""What can be set, for people: `.env.example` and the README's table, made from the model so that they cannot drift."""

import textwrap

from entity_stream.settings.model import PREFIX
from entity_stream.settings.variables import Variable, variables

SECTIONS = {
    "kafka_bootstrap_servers": "Kafka",
    "input_topic": "Topics",
    "language_allow_http": "Language",
    "delivery": "Pipeline",
    "http_host": "Seen from outside",
}
"""The first field of each section, and its title."""

LOCAL = {
    "kafka_bootstrap_servers": "localhost:9092",
    "input_topic": "documents",
    "output_topic": "entities",
    "language_endpoint": "http://127.0.0.1:5000",
    "language_key": "any-key-will-do",
    "language_project": "incidents",
    "language_deployment": "production",
}
"""What is required, for a broker and an engine on this machine."""


def example() -> str:
    """Write `.env.example`."""
    return EXAMPLE_HEAD + "".join(
        f"\n\n# {title}\n" + "".join(map(_example_of, rows)) for title, rows in _sections().items()
    )


def settings_table() -> str:
    """Write the README's tables, in Markdown."""
    return "\n".join(
        f"**{title}**\n\n| Variable | What it is | What it takes | Default |\n|---|---|---|---|\n"
        + "".join(map(_table_row, rows))
        for title, rows in _sections().items()
    )


EXAMPLE_HEAD = """\
# Every setting of Entity Stream. Copy this file to .env and hand it over with --config .env, or set the same variables
# in the environment, which wins. What is in comment shows the default. Quotes around a value are left out; there are
# no escapes and no ${...}. This file is made from service/entity_stream/settings/, and a test compares them."""


def _example_of(row: Variable) -> str:
    comment = textwrap.fill(
        f"{row.description} Takes {row.type}.", 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    value = LOCAL.get(_field(row), row.default)
    return f"\n{comment}\n{'' if row.required else '#'}{row.name}={value}\n"


def _table_row(row: Variable) -> str:
    default = "required" if row.required else f"`{row.default}`" if row.default else ""
    return f"| `{row.name}` | {row.description} | {row.type} | {default} |\n"


def _sections() -> dict[str, list[Variable]]:
    sections: dict[str, list[Variable]] = {}
    for row in variables():
        if title := SECTIONS.get(_field(row)):
            sections[title] = rows = []
        rows.append(row)
    return sections


def _field(row: Variable) -> str:
    return row.name.removeprefix(PREFIX).lower()
