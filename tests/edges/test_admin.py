"""Asking a resource whether it would let us work: its address, its key, and the deployment of each of its routes."""

import pytest
from aiohttp import web
from msgspec.structs import replace

from entity_stream.core.model import Route
from entity_stream.edges.admin import Finding, ask_language
from entity_stream.edges.language_http import connect
from entity_stream.plan import LanguageEndpoint
from tests.edges.endpoint import endpoint

pytestmark = pytest.mark.asyncio

WEST = LanguageEndpoint("", "key", "incidents", "production", resource="west", listed=True)


async def asked(where: LanguageEndpoint, status: int = 404) -> list[Finding]:
    """Ask one that has the deployment `production` of any project, and answers `status` for a job."""

    async def answer(request: web.Request) -> web.Response:
        if "/authoring/" not in request.path:
            return web.Response(status=status)
        return web.Response(status=200 if request.path.endswith("/production") else 404)

    async with endpoint(answer) as there:
        where = replace(where, url=there.url)
        async with connect(where, connections=1) as transport:
            return await ask_language(transport, where)


async def test_each_route_of_a_resource_is_asked_for() -> None:
    """Under the name of the resource; of what is missing the place in the list is told."""
    routes = (None, Route("chat", "production"), Route("chat", "canary"))
    findings = await asked(replace(WEST, routes=routes))
    assert [(each.asked, each.good) for each in findings[1:]] == [
        ("Language west: key", True),
        ("Language west: deployment 'production' of project 'incidents'", True),
        ("Language west: deployment 'production' of project 'chat'", True),
        ("Language west: deployment 'canary' of project 'chat'", False),
    ]
    assert findings[-1].mistake
    assert findings[-1].mistake.where == "ENTITY_STREAM_RESOURCES, 'west': project, deployment"


async def test_what_is_not_in_a_list_is_told_by_its_variables() -> None:
    """Where there is one resource the mistake names the setting to mend."""
    *_, key = await asked(replace(WEST, listed=False), 401)
    assert key.asked == "Language: key"
    assert key.mistake
    assert key.mistake.where == "ENTITY_STREAM_LANGUAGE_KEY"
