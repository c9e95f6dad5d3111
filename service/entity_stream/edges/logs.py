"""The log: coloured lines on a terminal, JSON for machines; libraries that repeat themselves are heard seldom.

No document text and no key is ever an argument of a log call, and a stack trace shows no variables.
"""

import logging
import sys
import time
from typing import TextIO

import structlog
from structlog.typing import Processor

REPEAT_AFTER = 30.0
"""Seconds until a library's message is shown again: aiokafka tells of an absent broker ten times a second."""

MOST_REMEMBERED = 1_000
"""Messages remembered to recognise repetitions."""


def configure(level: str, *, as_json: bool, stream: TextIO = sys.stderr) -> None:
    """Send our own events and the libraries' warnings to `stream`, in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_foreign(last)))
    handler.addFilter(_Seldom())
    libraries = max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()])
    logging.basicConfig(handlers=[handler], level=libraries, force=True)


def _foreign(last: list[Processor]) -> list[Processor]:
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]


class _Seldom(logging.Filter):
    """Lets a message of a library pass once in a while, however often it is said."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to show the record."""
        now, text = time.monotonic(), record.getMessage()
        if now - self._said.get(text, -REPEAT_AFTER) < REPEAT_AFTER:
            return False
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        self._said[text] = now
        return True
