"""What a person sees: each text with its entities highlighted, and a running line of throughput and lag."""

from collections import Counter

import msgspec
from rich.console import Console
from rich.text import Text

from entity_stream.core.messages import Message
from entity_stream.core.model import Entity

SHOWN = 700
"""Characters of a text that are shown."""

COLOURS = ("bold cyan", "bold magenta", "bold yellow", "bold green", "bold blue", "bold red")
"""Of the categories, in the order in which they are met."""


class _Shown(msgspec.Struct):
    entities: tuple[Entity, ...]
    id: str


class Palette:
    """A colour for each category."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}

    def __getitem__(self, category: str) -> str:
        return self._colours.setdefault(category, COLOURS[len(self._colours) % len(COLOURS)])


def annotated(message: Message, text: str, seconds: float, palette: Palette) -> Text:
    """Draw a text with its entities, and below it what they are and how sure the model is."""
    shown = msgspec.json.decode(message.value or b"", type=_Shown)
    drawn = Text().append(shown.id, "bold").append(f"  {len(shown.entities)} entities, {seconds:.2f} s\n", "dim")
    end = 0
    for entity in shown.entities:  # piece by piece: rich drops control characters, which would shift offsets
        if entity.offset + entity.length > SHOWN:
            break
        drawn.append(text[end : entity.offset])
        end = entity.offset + entity.length
        drawn.append(text[entity.offset : end], f"{palette[entity.category]} underline")
    drawn.append(text[end:SHOWN]).append("…" * (len(text) > SHOWN)).append("\n")
    for entity in shown.entities:
        drawn.append(f"  {entity.category}", palette[entity.category]).append(f" {_one_line(entity.text)}")
        drawn.append(f" {entity.confidence_score:.2f}", "dim")
    return drawn.append("\n")


def rejected(message: Message) -> Text:
    """Draw a dead letter: its key and why it is one."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers}
    key = (message.key or b"").decode("utf-8", "replace")
    why = f"{headers.get('entity-stream-reason')}: {headers.get('entity-stream-message')}"
    return Text().append(key, "bold").append("  dead letter  ", "bold red").append(f"{why}\n")


def summary(console: Console, outcomes: Counter[str], seconds: float) -> None:
    """Print what came of it all."""
    counted = ", ".join(f"{count} {kind}" for kind, count in outcomes.items()) or "nothing fed"
    console.print(f"[bold]{counted}[/bold] in {seconds:.1f} s")


def _one_line(text: str) -> str:
    return " ".join(text.split())
