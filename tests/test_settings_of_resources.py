"""Several resources and their routes in the settings: what is left out, what is wrong, and that no key is shown."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.model import Route
from entity_stream.core.quota import Rate
from entity_stream.core.routing import Routing
from entity_stream.plan import LanguageEndpoint, Resource
from entity_stream.settings.loading import KAFKA, OUTCOMES, Mistakes, load
from entity_stream.settings.model import PREFIX, Settings
from entity_stream.settings.resources import MOST

SECRET, OTHER = "s3cr3t-s3cr3t", "0th3r-0th3r"
README = Path(__file__).parents[1] / "README.md"
REQUIRED = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "INPUT_TOPIC": "documents", "OUTPUT_TOPIC": "entities"}
SINGLE = {
    "LANGUAGE_ENDPOINT": "https://all.example",
    "LANGUAGE_KEY": SECRET,
    "LANGUAGE_PROJECT": "incidents",
    "LANGUAGE_DEPLOYMENT": "production",
}
WEST = {"name": "west", "endpoint": "https://west.example", "key": OTHER, "project": "w", "deployment": "d"}


def loaded(listed: object, /, **given: str) -> Settings:
    written = listed if isinstance(listed, str) else json.dumps(listed)
    values = REQUIRED | {"RESOURCES": written} | given
    return load(None, {PREFIX + name: value for name, value in values.items()})


def refused(listed: object, /, **given: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        loaded(listed, **given)
    assert SECRET not in str(caught.value)
    assert OTHER not in str(caught.value)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_the_list_in_the_readme_is_right(tmp_path: Path) -> None:
    """It can be copied, once there are keys."""
    found = re.search(r"```text sets=resources\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    key = tmp_path / "key"
    key.write_text(OTHER)
    plan = loaded(re.sub("/run/secrets/[a-z]+", str(key), found[1]), **SINGLE).plan()
    assert [each.name for each in plan.resources if not each.draining] == ["west", "east"]


def test_what_a_resource_leaves_out_is_as_for_all() -> None:
    """Each has what it says, and else what is set for the single one; its name is its own."""
    found = loaded([{"name": "east"}, WEST | {"weight": 2, "draining": True, "quota": "60/min"}], **SINGLE)
    all_of_them = LanguageEndpoint(
        "https://all.example", SECRET, "incidents", "production", resource="east", listed=True
    )
    west = LanguageEndpoint("https://west.example", OTHER, "w", "d", resource="west", listed=True)
    assert found.languages() == (all_of_them, west)
    assert found.plan().resources == (Resource("east"), Resource("west", 2.0, True, (Rate(60, 60.0),)))
    assert found.resource_names() == ("east", "west")
    assert OTHER not in f"{found}{found!r}{found.languages()}"


def test_resources_that_say_all_need_nothing_else() -> None:
    """The settings of the single one are for what is left out, and may be left out with it."""
    assert loaded([WEST]).languages()[0].url == "https://west.example"
    without = {name: value for name, value in WEST.items() if name != "key"}
    told = "ENTITY_STREAM_LANGUAGE_KEY is not set, and the resource 'west' has no key of its own (environment)."
    assert refused([without]) == [f"{told} Set it here or there."]


def test_keys_and_the_whole_list_may_be_in_files(tmp_path: Path) -> None:
    """As any secret; a line end behind it is left out."""
    key, listed = tmp_path / "key", tmp_path / "resources.json"
    key.write_text(f"{OTHER}\n")
    listed.write_text(json.dumps([{"name": "west", "key_file": str(key)}]) + "\n")
    assert loaded("", RESOURCES_FILE=str(listed), **SINGLE).languages()[0].key == OTHER


def unpaid(listed: object, /, **given: str) -> Settings:
    """Load what an estimate of files uses, as it loads it."""
    written = listed if isinstance(listed, str) else json.dumps(listed)
    values = {"RESOURCES": written} | given
    return load(None, {PREFIX + name: value for name, value in values.items()}, without=OUTCOMES | KAFKA)


def test_an_estimate_needs_no_key_of_any_resource() -> None:
    """Neither the keys of a list nor their files are looked at; all else in it is, so the README's own list does."""
    found = re.search(r"```text sets=resources\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert [each.name for each in unpaid(found[1]).plan().resources if not each.draining] == ["west", "east"]
    assert unpaid([{"name": "west", "key": f"{OTHER} {OTHER}", "key_file": "/nowhere"}]).resource_names() == ("west",)
    for listed, words in WRONG[:6]:
        with pytest.raises(Mistakes) as caught:
            unpaid(listed)
        assert words in str(caught.value)


def test_an_estimate_takes_the_routes_that_the_service_takes() -> None:
    """The default route is the one that is set, if one is."""
    listed = [{"name": "a", "routes": "incidents/production,chat/production"}]
    given = {"ROUTES": "chat/production", "LANGUAGE_PROJECT": "incidents", "LANGUAGE_DEPLOYMENT": "production"}
    assert unpaid(listed, **given).plan().routing == loaded(listed, **SINGLE | given).plan().routing
    assert unpaid([{"name": "a"}], ROUTES="chat/production").languages()[0].routes == (None, CHAT)


WRONG = [
    ("west", "which is not JSON, line 1, column 1"),
    ("{}", "which is not a list"),
    ([], "which is not a list, or too long or short"),
    ([{"name": f"r{n}"} for n in range(MOST + 1)], "which is not a list, or too long or short"),
    ("[" * 100_000, "nested too deeply"),
    ([7], "resource 1, which is not an object"),
    ([{"name": "a"}, {}], "resource 2: name is not set, and it is required"),
    ([{"name": "a b"}], "resource 1: name is 'a b', which is not a name"),
    ([{"name": "west", "endpoint": "ftp://x"}], "resource 1, 'west': endpoint is '***', which is not an address"),
    ([{"name": "west", "key": f"{OTHER} {OTHER}"}], "resource 1, 'west': key is '***', which is not a key"),
    ([{"name": "west", "weight": 0}], "weight is '0', which is too small"),
    ([{"name": "west", "draining": "perhaps"}], "draining is 'perhaps', which is not true or false"),
    ([{"name": "west", "endpont": "https://x"}], "there is no member 'endpont'"),
    ([{"name": "west", "routes": "a"}], "routes is 'a', which is not a list of routes"),
    ([{"name": "west", "key": OTHER, "key_file": "/x"}], "'west', which has key and key_file"),
    ([{"name": "west", "key_file": f"/nowhere/{OTHER}"}], "'west', whose key_file cannot be read"),
    ([{"name": "west"}, {"name": "west"}], "where the journal could not tell 'west' from another"),
    ([{"name": "west", "endpoint": "http://west.example"}], "where the key of 'west' would travel unencrypted"),
    ([{"name": "west", "draining": True}], "where nobody takes records that ask for no route"),
    ([{"name": "west", "routes": "a/b"}], "where nobody takes records that ask for no route"),
]


@pytest.mark.parametrize(("listed", "words"), WRONG, ids=lambda each: str(each)[:40])
def test_a_wrong_list_is_told_by_place_and_name(listed: object, words: str) -> None:
    """Which resource, which member, and how to mend it; no key is shown."""
    (mistake,) = refused(listed, **SINGLE)
    assert words in mistake
    assert mistake.startswith(f"{PREFIX}RESOURCES")
    assert "(environment). " in mistake


def test_every_mistake_in_a_list_is_told_at_once() -> None:
    """Beside those of other settings."""
    told = refused([{"name": "a b"}, {"name": "west", "weight": -1, "x": 1}], WINDOW="0", **SINGLE)
    assert len(told) == 4


def test_a_name_that_the_journal_cannot_tell_from_another_is_refused() -> None:
    """It marks them in four bytes: these two names have the same."""
    assert "could not tell" in refused([{"name": "plumless"}, {"name": "buckeroo"}], **SINGLE)[0]


ROUTES = "incidents/canary, chat/production ,incidents/production"
CANARY, CHAT = Route("incidents", "canary"), Route("chat", "production")


def test_routes_are_served_by_all_who_do_not_say_which() -> None:
    """The default is none of them; who lists routes serves these, and the default where its own name is among them."""
    some, few = (
        {"name": "some", "routes": "chat/production,incidents/production"},
        {"name": "few", "routes": "chat/production"},
    )
    found = loaded([{"name": "all"}, some, few], ROUTES=ROUTES, **SINGLE)
    assert [set(each.routes) for each in found.languages()] == [{None, CANARY, CHAT}, {None, CHAT}, {CHAT}]
    assert found.plan().routing == Routing(frozenset({CANARY, CHAT}), Route("incidents", "production"))


def test_without_routes_nothing_is_routed() -> None:
    """No header is looked at."""
    assert loaded([WEST]).plan().routing is None
    assert loaded([WEST]).languages()[0].routes == (None,)


@pytest.mark.parametrize(
    ("listed", "given", "words"),
    [
        ([{"name": "west"}], {"ROUTES": "a"}, "ROUTES is 'a', which is not a list of routes"),
        ([{"name": "west", "routes": "incidents/production"}], {"ROUTES": "a/b"}, "where nobody takes a/b"),
        ([{"name": "west"}, {"name": "east", "routes": "a/b"}], {}, "where 'east' takes a/b, which nobody may ask for"),
        ([{"name": "west"}, {"name": "east", "routes": ""}], {}, "where 'east' takes no route at all"),
        ([{"name": "west"}, {"name": "east", "routes": "", "draining": True}], {}, "'east' takes no route at all"),
        (
            [{"name": "west"}, {"name": "east", "project": "other", "routes": "incidents/production"}],
            {"ROUTES": "incidents/production,chat/production"},
            "where 'east' takes no route at all (environment). List other/production, its own, or one",
        ),
        ([{"name": "west"}], {"PROJECT_HEADER": "x", "DEPLOYMENT_HEADER": "x"}, "DEPLOYMENT_HEADER is 'x', as "),
    ],
)
def test_a_route_that_cannot_be_is_told(listed: object, given: dict[str, str], words: str) -> None:
    """What nobody serves, and what nobody may ask for."""
    assert words in refused(listed, **given, **SINGLE)[0]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from([OTHER, "west", "https://x", "a/b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "key", "key_file", "endpoint", "routes", "weight", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON | st.text())
def test_whatever_is_given_is_right_or_told(given_list: object) -> None:
    """No JSON is an exception, and in no mistake there is a key."""
    try:
        found: Settings | Mistakes = loaded(given_list, **SINGLE)
    except Mistakes as mistakes:
        found = mistakes
    if isinstance(found, Settings):
        assert found.languages()
        assert found.plan()
    assert SECRET not in str(found)
