"""The endpoint as a process: what it prints, how it ends, and what it leaves behind."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.judge.books import Change, Submit, read_books
from tests.judge.conditions import Conditions
from tests.judge.process import ROOT, NotStarted, judge
from tests.judge.samples import VERSION, marked, submit_body

pytestmark = pytest.mark.asyncio


async def test_one_line_is_printed_and_sigterm_ends_it_with_the_books_complete(tmp_path: Path) -> None:
    """The line says where it listens; what was accepted just before the end is in the books, and no error is told."""
    command = [sys.executable, "-m", "tests.judge.endpoint", "--books", str(tmp_path / "books")]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert process.stdout
    line = (await process.stdout.readline()).decode()
    said = re.fullmatch(r"judge (http://127\.0\.0\.1:\d+) control http://127\.0\.0\.1:\d+\n", line)
    assert said
    url, headers = f"{said[1]}/language/analyze-text/jobs?api-version={VERSION}", {"Ocp-Apim-Subscription-Key": "key"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for place in range(50):
            async with session.post(url, data=submit_body(marked(f"doc-{place}"))) as response:
                assert response.status == 202
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")
    first, *submits = read_books(tmp_path / "books")
    assert isinstance(first, Change)
    assert [submit.documents for submit in submits if isinstance(submit, Submit)] == [[f"doc-{n}"] for n in range(50)]


async def test_a_client_that_hangs_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """A call that is held, and was never answered, is let go when the process ends."""
    async with aiohttp.ClientSession() as session:
        async with judge(tmp_path, Conditions(down="hang")) as it:
            url = f"{it.url}/language/analyze-text/jobs?api-version={VERSION}"
            held = asyncio.ensure_future(session.post(url, data=submit_body(marked("a"))))
            while not (await it.tally()).submits:
                pass
        with pytest.raises(aiohttp.ClientError):
            await held
    assert [event.status for event in read_books(it.books) if isinstance(event, Submit)] == [0]


async def test_what_cannot_start_says_where_it_complained(tmp_path: Path) -> None:
    """A port that is taken is told at once, with the file that says why."""
    async with judge(tmp_path / "a") as it:
        port = int(it.url.rpartition(":")[2])
        with pytest.raises(NotStarted, match=r"judge\.log"):
            async with judge(tmp_path / "b", port=port):
                pass
    assert "Address already in use" in (tmp_path / "b" / "judge.log").read_text()
