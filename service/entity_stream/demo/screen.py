"""What a person sees: each text with its entities highlighted, and a running line of throughput and lag."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.text import Text

from entity_stream.core.messages import Message
from entity_stream.core.model import Entity

SHOWN = 700
"""Characters of a text that are shown."""

COLOURS = ("bold cyan", "bold magenta", "bold yellow", "bold green", "bold blue", "bold red")
"""Of the categories, in the order in which they are met."""

CONTROLS = {code: 0x2400 + code for code in range(0x20) if code not in b"\t\n\r"}
CONTROLS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
"""Pictures of the characters that would tell the terminal what to do: a text is shown, not obeyed."""


class _Shown(msgspec.Struct):
    entities: tuple[Entity, ...]
    id: str


class Palette:
    """A colour for each category."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}

    def __getitem__(self, category: str) -> str:
        return self._colours.setdefault(category, COLOURS[len(self._colours) % len(COLOURS)])


def annotated(message: Message, text: str, seconds: float, palette: Palette, width: int) -> Text:
    """Draw a text with its entities, and below it what they are and how sure the model is."""
    shown = msgspec.json.decode(message.value or b"", type=_Shown)
    count = len(shown.entities)
    visible = [entity for entity in shown.entities if entity.offset + entity.length <= SHOWN]
    drawn = Text().append(_one_line(shown.id), "bold")
    drawn.append(f"  {count} {'entity' if count == 1 else 'entities'}, {seconds:.2f} s\n", "dim")
    drawn.append_text(_highlighted(text[:SHOWN].rstrip().translate(CONTROLS), visible, palette))
    drawn.append("…" * (len(text) > SHOWN)).append("\n").append_text(_labels(visible, palette, width))
    return drawn.append(f"  and {count - len(visible)} further down\n" if count > len(visible) else "", "dim")


def _highlighted(text: str, entities: Sequence[Entity], palette: Palette) -> Text:
    """Colour the entities, piece by piece: rich drops carriage returns, which would shift offsets."""
    drawn, end = Text(), 0
    for entity in entities:
        drawn.append(text[end : entity.offset])
        end = entity.offset + entity.length
        drawn.append(text[entity.offset : end], f"{palette[entity.category]} underline")
    return drawn.append(text[end:])


def _labels(entities: Sequence[Entity], palette: Palette, width: int) -> Text:
    """Say what the entities are, side by side, none of them torn by the end of a line."""
    drawn, column = Text(), 0
    for entity in entities:
        label = Text().append(f"  {entity.category}", palette[entity.category])
        label.append(f" {_one_line(entity.text)}").append(f" {entity.confidence_score:.2f}", "dim")
        if column and column + label.cell_len > width:
            drawn.append("\n")
            column = 0
        drawn.append_text(label)
        column += label.cell_len
    return drawn.append("\n")


def rejected(message: Message) -> Text:
    """Draw a dead letter: its key and why it is one."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers}
    key = _one_line((message.key or b"").decode("utf-8", "replace"))
    why = f"{headers.get('entity-stream-reason')}: {headers.get('entity-stream-message')}"
    return Text().append(key, "bold").append("  dead letter  ", "bold red").append(f"{_one_line(why)}\n")


def not_sent(name: str, size: int, largest: int) -> Text:
    """Say that a document is larger than any broker takes."""
    told = Text().append("not sent: ", "red").append(_one_line(name))
    return told.append(f" has {size} bytes, a broker takes {largest} at most")


def summary(outcomes: Counter[str], seconds: float, *, left: int) -> Text:
    """Say what came of it all."""
    counts = [*sorted(outcomes.items()), *([("left behind", left)] if left else [])]
    counted = ", ".join(f"{count} {kind}" for kind, count in counts) or "nothing fed"
    return Text().append(counted, "bold").append(f" in {seconds:.1f} s")


def _one_line(text: str) -> str:
    return " ".join(text.split()).translate(CONTROLS)
