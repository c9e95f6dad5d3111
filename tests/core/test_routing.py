"""Which model a record asks for, and what it may not ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from entity_stream.core.messages import decode
from entity_stream.core.model import Deleted, Document, Partition, Record, Rejected, Route
from entity_stream.core.routing import NOT_ALLOWED, Headers, Routing

DEFAULT, CANARY, CHAT = Route("incidents", "production"), Route("incidents", "canary"), Route("chat", "production")
ROUTING = Routing(frozenset({CANARY, CHAT}), DEFAULT)
PROJECT, DEPLOYMENT = "entity-stream-project", "entity-stream-deployment"


def record(headers: Headers, value: bytes | None = b'{"text": "t"}') -> Record:
    return Record(Partition("in", 0), 7, b"key", value, tuple(headers))


@pytest.mark.parametrize(
    ("headers", "route"),
    [
        ([], None),
        ([("other", b"canary")], None),
        ([(DEPLOYMENT, b"canary")], CANARY),
        ([(PROJECT, b"chat")], CHAT),
        ([(PROJECT, b"chat"), (DEPLOYMENT, b"production")], CHAT),
        ([(PROJECT, b"incidents"), (DEPLOYMENT, b"production")], None),
        ([(PROJECT, b""), (DEPLOYMENT, None)], None),
        ([(DEPLOYMENT, b"nowhere"), (DEPLOYMENT, b"canary")], CANARY),
    ],
)
def test_headers_name_a_route(headers: Headers, route: Route | None) -> None:
    """What is left out is as in the default, which needs no name; the last of two headers counts."""
    document = decode(record(headers), ROUTING)
    assert isinstance(document, Document)
    assert document.route == route


HEADER = st.sampled_from([PROJECT, DEPLOYMENT, "x"])
VALUE = st.binary(max_size=60) | st.none() | st.sampled_from([b"incidents", b"chat", b"canary", b"production"])


@given(st.lists(st.tuples(HEADER, VALUE), max_size=4), st.booleans())
def test_no_record_goes_where_it_may_not(headers: list[tuple[str, bytes | None]], default: bool) -> None:
    """Whatever headers say, in whatever bytes: the default, a route of the list, or a dead letter that says why."""
    routing = ROUTING if default else replace(ROUTING, default=None)
    match decode(record(headers), routing):
        case Document(route=route):
            assert route is None or route in routing.allowed
        case Rejected(reason=reason):
            assert reason == NOT_ALLOWED
        case Deleted():
            raise AssertionError


def test_half_a_route_is_none_where_resources_have_defaults_of_their_own() -> None:
    """What it leaves out has not one name then."""
    assert replace(ROUTING, default=None).route([(DEPLOYMENT, b"canary")]) == NOT_ALLOWED


def test_a_tombstone_has_no_route() -> None:
    """It is published, whatever its headers say; nobody is asked about it."""
    assert isinstance(decode(record([(PROJECT, b"secret")], None), ROUTING), Deleted)


def test_without_routing_no_header_is_looked_at() -> None:
    """What senders put into headers before there are routes means nothing."""
    document = decode(record([(PROJECT, b"secret")]))
    assert isinstance(document, Document)
    assert document.route is None
