"""For all tests: hypothesis judges none by its time, which says more of the machine than of the code."""

import pytest
from hypothesis import settings

from tests.integration import met

settings.register_profile("ours", deadline=None)
settings.load_profile("ours")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over which brokers were met, where this is one of several processes."""
    met.hand_over(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take that over from another process."""
    met.take_over(node.config, getattr(node, "workeroutput", {}))  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which brokers were met, and why others were not."""
    met.tell(config, terminalreporter)
