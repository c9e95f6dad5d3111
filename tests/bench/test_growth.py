"""Growth: whatever waits, waits whole."""

import os
import sys
from contextlib import suppress
from subprocess import PIPE, Popen

from tests.bench.growth import stopped


def test_nothing_runs_while_its_work_is_written() -> None:
    """The service is stopped until all that is to wait waits, and goes on then, also where writing failed."""
    with Popen([sys.executable, "-c", "input()"], stdin=PIPE) as process:
        with suppress(LookupError), stopped(process.pid):
            assert os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            raise LookupError
        assert os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        process.kill()
