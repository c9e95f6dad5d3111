"""Settings: every mistake at once, in words, without a secret; and documents that cannot drift from the model."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entity_stream.core.messages import Topics
from entity_stream.core.ordering import Order
from entity_stream.core.quota import Operation, Rate
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Watch
from entity_stream.settings.documentation import LOCAL, SECTIONS, settings_table
from entity_stream.settings.documentation import example as env_example
from entity_stream.settings.loading import Mistakes, load
from entity_stream.settings.model import PREFIX, Settings, variable
from entity_stream.settings.variables import variables

ROOT = Path(__file__).parents[1]
PEM = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
SECRET = "s3cr3t-s3cr3t"  # noqa: S105 (of these tests)
REQUIRED = {
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "INPUT_TOPIC": "documents",
    "OUTPUT_TOPIC": "entities",
    "LANGUAGE_ENDPOINT": "http://127.0.0.1:5000",
    "LANGUAGE_KEY": SECRET,
    "LANGUAGE_PROJECT": "incidents",
    "LANGUAGE_DEPLOYMENT": "production",
}
SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "me"}

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Also what no UTF-8 could say: the environment holds bytes."""
ANY_VALUE = ANY_TEXT | st.sampled_from(
    ["7", "0.5", "2MB", "SASL_SSL", "SSL", "PLAIN", "https://host", "word", "/", "a\0"]
)
VARIABLES = st.dictionaries(st.sampled_from([each.name.removeprefix(PREFIX) for each in variables()]), ANY_VALUE)


def environ(given: dict[str, str]) -> dict[str, str]:
    return {PREFIX + name: value for name, value in (REQUIRED | given).items()}


def loaded(config: Path | None = None, /, **given: str) -> Settings:
    return load(config, environ(given))


def outcome(given: dict[str, str], config: Path | None = None) -> Settings | Mistakes:
    try:
        return load(config, environ(given))
    except Mistakes as mistakes:
        return mistakes


def refused(given: dict[str, str], config: Path | None = None) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        load(config, environ(given))
    return [str(mistake) for mistake in caught.value.mistakes]


def the_mistake(given: dict[str, str], config: Path | None = None) -> str:
    mistakes = refused(given, config)
    assert len(mistakes) == 1, mistakes
    return mistakes[0]


def written(folder: Path, text: str | bytes, name: str = "a.file") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


# ---- What is right ---------------------------------------------------------------------------------------------------


def test_what_is_required_is_enough_and_the_defaults_are_those_of_the_plans() -> None:
    """A setting that is left out leaves the plan as it is by itself."""
    minimal = loaded()
    assert minimal.plan() == Plan()
    assert minimal.kafka() == KafkaConnection("localhost:9092", "entity-stream")
    assert minimal.languages() == (LanguageEndpoint("http://127.0.0.1:5000", SECRET, "incidents", "production"),)
    assert minimal.topics() == Topics("entities", "entities.dead-letter")
    assert minimal.watch() == Watch("0.0.0.0", 9464)  # noqa: S104 (compared, not bound)


def test_every_number_of_the_plan_can_be_set() -> None:
    """Each setting of the pipeline arrives in the field of the plan that it names."""
    plan = loaded(
        ORDER="partition",
        WINDOW="7",
        MEMORY="64MiB",
        BATCH_DOCUMENTS="5",
        BATCH_CHARACTERS="5120",
        BATCH_LINGER="0.2",
        ATTEMPTS="2",
        JOB_OVERDUE="600",
        LONGEST_FREEZE="61",
        PARK_FOR="11",
        DRAIN_FOR="12",
        RELEASE_FOR="4",
        CLEAR_WITHIN="60",
        LANGUAGE_QUOTA="submit 10/s, submit 300/min, Poll 50/s",
        LANGUAGE_QUOTA_PART="0.5",
    ).plan()
    assert (plan.limits.documents, plan.limits.characters, plan.limits.linger) == (5, 5120, 0.2)
    assert (plan.order, plan.window, plan.memory, plan.attempts) == (Order.PARTITION, 7, 67_108_864, 2)
    assert (plan.overdue, plan.longest_freeze, plan.park_for) == (600, 61, 11)
    assert (plan.drain_for, plan.release_for, plan.clear_within) == (12, 4, 60)
    submit, poll = (Operation.SUBMIT,), (Operation.POLL,)
    assert plan.quota == (Rate(5, 1.0, submit), Rate(150, 60.0, submit), Rate(25, 1.0, poll))


def test_the_connections_can_be_set(tmp_path: Path) -> None:
    """Each setting of Kafka and of the endpoint arrives in the field that it names."""
    pem = written(tmp_path, PEM)
    full = loaded(
        **SASL,
        KAFKA_BOOTSTRAP_SERVERS="one:9092, two:9093,[::1]:9094",
        KAFKA_GROUP="us",
        KAFKA_GROUP_INSTANCE_ID="us-1",
        KAFKA_SASL_PASSWORD="pass word",  # noqa: S106 (of this test)
        KAFKA_SSL_CA_FILE=pem,
        KAFKA_SSL_CERTIFICATE_FILE=pem,
        KAFKA_SSL_KEY_FILE=pem,
        KAFKA_SESSION_TIMEOUT="30",
        KAFKA_TRANSACTIONAL_ID_PREFIX="ours",
        DELIVERY="exactly_once",
        LANGUAGE_ENDPOINT="https://gateway.example/nlp/",
        LANGUAGE_API_VERSION="2024-11-15-preview",
        LANGUAGE_RESOURCE="west",
        LANGUAGE_TIMEOUT="9.5",
        LANGUAGE_CA_FILE=pem,
        PRICE_PER_1000_TEXT_RECORDS="4.5",
        DEAD_LETTER_TOPIC="letters",
        HTTP_HOST="::1",
        HTTP_PORT="0",
    )
    brokers = "one:9092,two:9093,[::1]:9094"
    login = ("SASL_SSL", "PLAIN", "me", "pass word")
    assert full.kafka() == KafkaConnection(brokers, "us", "us-1", *login, pem, pem, pem, 30.0, "ours")
    url, version = "https://gateway.example/nlp", "2024-11-15-preview"
    endpoint = LanguageEndpoint(url, SECRET, "incidents", "production", version, "west", 9.5, pem, 4.5)
    assert full.languages() == (endpoint,)
    assert full.topics() == Topics("entities", "letters")
    assert full.watch() == Watch("::1", 0)


def test_transactions_have_names_where_delivery_is_exactly_once() -> None:
    """A prefix alone makes no transaction, and exactly_once alone names them by the default."""
    assert loaded(KAFKA_TRANSACTIONAL_ID_PREFIX="ours").kafka().transactional_id_prefix is None
    assert loaded(DELIVERY="exactly_once").kafka().transactional_id_prefix == "entity-stream"


@pytest.mark.parametrize(
    ("field", "choices"),
    [(name, re.split(", ", each.type.removeprefix("one of its values: ")))
     for name in Settings.model_fields for each in variables()
     if each.name == variable(name) and each.type.startswith("one of its values")],
)  # fmt: skip
def test_every_choice_that_is_documented_is_taken_in_any_case(field: str, choices: list[str]) -> None:
    """The documents name the choices of a setting, and upper and lower case mean the same."""
    assert len(choices) > 1
    login = SASL | {"KAFKA_SASL_PASSWORD": SECRET}
    for choice in choices:
        needed = login if "sasl" in (field + choice).lower() else {}
        for given_as in (choice.upper(), choice.lower()):
            assert getattr(loaded(**needed | {field.upper(): given_as}), field) == choice


def test_every_order_can_be_chosen() -> None:
    """No order of the pipeline is missing among the choices."""
    assert {loaded(ORDER=order).plan().order for order in Order} == set(Order)


@given(st.integers(1, 59), st.sampled_from(["", "B", "k", "kB", "MB", "mb", "MiB", "Mi", "KiB", "GB", "g", "GiB"]))
def test_sizes_have_units(number: int, unit: str) -> None:
    """A size is a number of bytes, thousands of them, or, with an i, 1,024 times as many."""
    power = " kmg".index(unit[:1].lower() or " ") if unit != "B" else 0
    size = number * (1024 if "i" in unit else 1000) ** power
    for text in (f"{number}{unit}", f"{number} {unit}", f"{number}.0{unit}"):
        if size < 1_000_000:
            assert "too small" in the_mistake({"MEMORY": text})
        else:
            assert loaded(MEMORY=text).plan().memory == size


BOUNDED = [each for each in variables() if re.search(r"[0-9] to [0-9]|MB to ", each.type)]


@pytest.mark.parametrize("name", [each.name for each in BOUNDED])
def test_bounds_are_where_the_documents_say(name: str) -> None:
    """Both bounds of a number are taken; what is beyond them is too small or too large."""
    (words,) = [each.type for each in BOUNDED if each.name == name]
    found = re.search(r"([0-9.]+)(MB)? to ([0-9.]+)(MB)?$", words)
    assert found
    short, unit, roomy = name.removeprefix(PREFIX), found[2] or "", {"KAFKA_SESSION_TIMEOUT": "1800"}
    for bound in (found[1], found[3]):
        loaded(**roomy | {short: bound + unit})
    above = str(int(found[3]) + 1) + unit
    assert "too large" in the_mistake(roomy | {short: above})
    below = "-1" if float(found[1]) == 0 else f"{float(found[1]) / 2:g}{unit}" if "whole" not in words else "0"
    assert "too small" in the_mistake(roomy | {short: below})


IN_KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "stream-0"}
MEMBER = "ENTITY_STREAM_KAFKA_GROUP_INSTANCE_ID"


@pytest.mark.parametrize(
    ("around", "given", "member"),
    [
        (IN_KUBERNETES, {}, "stream-0"),
        (IN_KUBERNETES, {MEMBER: ""}, "stream-0"),
        (IN_KUBERNETES, {MEMBER: "west-0"}, "west-0"),
        (IN_KUBERNETES, {MEMBER: "none"}, None),
        (IN_KUBERNETES, {MEMBER: "None"}, None),
        ({"HOSTNAME": "laptop"}, {}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}, None),
    ],
)
def test_in_kubernetes_membership_is_static(around: dict[str, str], given: dict[str, str], member: str | None) -> None:
    """There a member is named as its pod, unless it is given a name or none; elsewhere nobody names it."""
    assert load(None, environ({}) | around | given).kafka().group_instance_id == member


def test_a_file_names_a_member_before_its_pod_does(tmp_path: Path) -> None:
    """What is set in a file wins over what Kubernetes says."""
    config = Path(written(tmp_path, f"{MEMBER}=none\n"))
    assert load(config, environ({}) | IN_KUBERNETES).kafka().group_instance_id is None


def test_a_pod_name_that_is_none_is_told_with_its_place() -> None:
    """A name that Kafka would not take is told at the start, and where it comes from."""
    with pytest.raises(Mistakes) as caught:
        load(None, environ({}) | IN_KUBERNETES | {"HOSTNAME": "a b"})
    assert f"{MEMBER} is 'a b', which is not a name (environment, HOSTNAME). " in str(caught.value)


# ---- What is wrong ---------------------------------------------------------------------------------------------------

WRONG = [
    ("KAFKA_BOOTSTRAP_SERVERS", "localhost", "not a list of brokers"),
    ("KAFKA_BOOTSTRAP_SERVERS", "kafka://localhost:9092", "host:port"),
    ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,,two:9092", "not a list of brokers"),
    ("KAFKA_BOOTSTRAP_SERVERS", "one:0", "not a list of brokers"),
    ("KAFKA_BOOTSTRAP_SERVERS", "one:65536", "not a list of brokers"),
    ("KAFKA_GROUP", "our group", "not a group name"),
    ("KAFKA_GROUP", "g" * 250, "at most 249"),
    ("KAFKA_GROUP_INSTANCE_ID", "a/b", "not a name"),
    ("KAFKA_TRANSACTIONAL_ID_PREFIX", "a:b", "not a name"),
    ("DELIVERY", "at_most_once", "at_least_once, exactly_once"),
    ("KAFKA_SECURITY_PROTOCOL", "TLS", "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
    ("KAFKA_SESSION_TIMEOUT", "45s", "not a number of seconds"),
    ("KAFKA_SESSION_TIMEOUT", "5.9", "too small"),
    ("INPUT_TOPIC", "my documents", "not a topic name"),
    ("INPUT_TOPIC", "..", "not a topic name"),
    ("OUTPUT_TOPIC", "e" * 250, "not a topic name"),
    ("LANGUAGE_ENDPOINT", "ftp://127.0.0.1", "not an address"),
    ("LANGUAGE_ENDPOINT", "example.com", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://host:port", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://host:99999", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://[host", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://ho st", "not an address"),
    ("LANGUAGE_ENDPOINT", "https://me:pass@host", "more than a place"),
    ("LANGUAGE_ENDPOINT", "https://host?subscription-key=1", "more than a place"),
    ("LANGUAGE_ENDPOINT", "https://host/language/analyze-text/jobs", "Leave out /language"),
    ("LANGUAGE_ENDPOINT", "http://10.0.0.7:5000", "LANGUAGE_ALLOW_HTTP=true"),
    ("LANGUAGE_ENDPOINT", "http://localhost.example.com", "unencrypted"),
    ("LANGUAGE_ALLOW_HTTP", "perhaps", "not true or false"),
    ("LANGUAGE_KEY", "two words", "not a key"),
    ("LANGUAGE_KEY", "a line end\n", "not a key"),
    ("LANGUAGE_PROJECT", "our project", "not a name"),
    ("LANGUAGE_DEPLOYMENT", "d" * 51, "at most 50"),
    ("LANGUAGE_API_VERSION", "v3.1", "not an API version"),
    ("LANGUAGE_API_VERSION", "2023-13-01", "not an API version"),
    ("LANGUAGE_API_VERSION", "2022-04-30", "2022-05-01 or a later one"),
    ("LANGUAGE_QUOTA", "1000", "not a quota"),
    ("LANGUAGE_QUOTA", "10/s,", "not a quota"),
    ("LANGUAGE_QUOTA", "10/week", "Use one of s, min, h, day"),
    ("LANGUAGE_QUOTA", "get 10/s", "Write submit, poll, or nothing"),
    ("LANGUAGE_QUOTA", "0/min", "a window holds 1 to 1000000 calls"),
    ("LANGUAGE_QUOTA", "10/s, 20/s", "Keep one of them"),
    ("LANGUAGE_QUOTA_PART", "0", "too small"),
    ("LANGUAGE_QUOTA_PART", "1.1", "too large"),
    ("ORDER", "keys", "key, partition, unordered"),
    ("WINDOW", "many", "not a whole number"),
    ("WINDOW", "1.5", "not a whole number"),
    ("WINDOW", "0", "too small"),
    ("WINDOW", "9" * 5_000, "not a whole number"),
    ("MEMORY", "32 apples", "not a size"),
    ("MEMORY", "1kB", "too small"),
    ("BATCH_DOCUMENTS", "26", "too large"),
    ("BATCH_LINGER", "nan", "not a number of seconds"),
    ("BATCH_LINGER", "inf", "not a number of seconds"),
    ("RELEASE_FOR", "45", "KAFKA_SESSION_TIMEOUT is not longer"),
    ("HTTP_HOST", "0.0.0.0:9464", "no port"),
    ("HTTP_PORT", "65536", "0 to 65535"),
    ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR"),
    ("LOG_FORMAT", "xml", "auto, json, text"),
    ("ORDER", "\udcff", "one of its values"),
    ("INPUT_TOPIC", "\udcff", "not a topic name"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=lambda text: text[:30])
def test_a_wrong_value_is_told_in_words(name: str, value: str, words: str) -> None:
    """The mistake names the variable, quotes the value unless it may hold a secret, and says what to give."""
    mistake = the_mistake({name: value})
    assert mistake.startswith(f"{PREFIX}{name} is ")
    assert words in mistake
    assert "(environment). " in mistake
    assert len(mistake) < 300, "a long value is cut"
    hidden = name in {"LANGUAGE_KEY", "LANGUAGE_ENDPOINT"}
    assert hidden or ascii(value[:57])[1:-1] in mistake


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_required_and_missing_is_told(name: str, value: str | None) -> None:
    """A required variable that is not set, or set to nothing, is a mistake."""
    given = environ({}) | {PREFIX + name: value or ""}
    if value is None:
        del given[PREFIX + name]
    with pytest.raises(Mistakes) as caught:
        load(None, given)
    assert str(caught.value).startswith(f"{PREFIX}{name} is not set, and it is required (environment). Give ")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Missing, malformed, out of bounds, unknown, contradictory and unreadable are told in one go."""
    config = Path(written(tmp_path, "this is no setting\n"))
    given = {
        "ENTITY_STREAM_INPUT_TOPIC": "a b",
        "ENTITY_STREAM_WINDOW": "0",
        "ENTITY_STREAM_MEMROY": "1",
        "ENTITY_STREAM_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "ENTITY_STREAM_LANGUAGE_KEY_FILE": str(tmp_path / "nothing"),
        "ENTITY_STREAM_LANGUAGE_CA_FILE": str(tmp_path / "nothing"),
    }
    with pytest.raises(Mistakes) as caught:
        load(config, given)
    told = [mistake.what for mistake in caught.value.mistakes]
    expected = [
        "not a setting",
        "MEMROY",
        "LANGUAGE_KEY_FILE names a file",
        "BOOTSTRAP_SERVERS is not set",
        "MECHANISM is not set",
        "USERNAME is not set",
        "PASSWORD is not set",
        "INPUT_TOPIC is 'a b'",
        "OUTPUT_TOPIC is not set",
        "ENDPOINT is not set",
        "PROJECT is not set",
        "DEPLOYMENT is not set",
        "LANGUAGE_CA_FILE is",
        "WINDOW is '0'",
    ]
    assert len(told) == len(expected)
    assert all(words in what for words, what in zip(expected, told, strict=True)), told
    assert str(caught.value).splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    assert caught.value.__context__ is None, "pydantic's own words are not shown behind ours"


@pytest.mark.parametrize("name", ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT", "SSL", "PLAINTEXT"])
def test_a_login_goes_with_sasl(name: str, protocol: str) -> None:
    """With SASL each part of the login is needed; without SASL each is refused, as it would do nothing."""
    login = SASL | {"KAFKA_SASL_PASSWORD": SECRET, "KAFKA_SECURITY_PROTOCOL": protocol}
    if protocol.startswith("SASL"):
        assert loaded(**login).kafka().password == SECRET
        assert f"{name} is not set, and {protocol} needs it" in the_mistake(login | {name: ""})
    else:
        value = login[name]
        mistake = the_mistake({"KAFKA_SECURITY_PROTOCOL": protocol, name: value})
        assert f"and {protocol} does not log in" in mistake


@pytest.mark.parametrize("name", ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"])
def test_a_login_is_one_line(tmp_path: Path, name: str) -> None:
    """A user name or password with a line end in it, or nothing in its file, is a mistake."""
    login = SASL | {"KAFKA_SASL_PASSWORD": SECRET}
    assert "one line" in the_mistake(login | {name: "two\nlines"})
    nothing = {"KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": written(tmp_path, "\n")}
    assert "KAFKA_SASL_PASSWORD is empty" in the_mistake(login | nothing)


def test_certificates_go_with_ssl(tmp_path: Path) -> None:
    """Certificates are refused where nothing is encrypted, and ours is refused without its key."""
    pem, ssl = written(tmp_path, PEM), {"KAFKA_SECURITY_PROTOCOL": "SSL"}
    assert "PLAINTEXT does not encrypt" in the_mistake({"KAFKA_SSL_CA_FILE": pem})
    assert loaded(**ssl, KAFKA_SSL_CA_FILE=pem).kafka().ca_file == pem
    assert "CERTIFICATE_FILE is set" in the_mistake(ssl | {"KAFKA_SSL_CERTIFICATE_FILE": pem})
    assert "CERTIFICATE_FILE is not set" in the_mistake(ssl | {"KAFKA_SSL_KEY_FILE": pem})
    missing = str(tmp_path / "nothing")
    both = ssl | {"KAFKA_SSL_CERTIFICATE_FILE": missing, "KAFKA_SSL_KEY_FILE": pem}
    assert "No such file" in the_mistake(both), "a certificate that cannot be read is not also missing"


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A file that is absent, a folder, no path, or not PEM is a mistake of its own."""
    assert "No such file" in the_mistake({"LANGUAGE_CA_FILE": str(tmp_path / "nothing")})
    assert "Is a directory" in the_mistake({"LANGUAGE_CA_FILE": str(tmp_path)})
    assert "not a file" in the_mistake({"LANGUAGE_CA_FILE": "a\0b"})
    assert "not in PEM format" in the_mistake({"LANGUAGE_CA_FILE": written(tmp_path, b"\xfe\xed\xfe\xed")})


@pytest.mark.parametrize(
    ("given", "both"),
    [
        ({"OUTPUT_TOPIC": "documents"}, "OUTPUT_TOPIC is 'documents', so that it and ENTITY_STREAM_INPUT_TOPIC"),
        ({"DEAD_LETTER_TOPIC": "documents"}, "DEAD_LETTER_TOPIC is 'documents', so that it and ENTITY_STREAM_INPUT"),
        ({"DEAD_LETTER_TOPIC": "entities"}, "so that it and ENTITY_STREAM_OUTPUT_TOPIC are both 'entities'"),
        ({"INPUT_TOPIC": "entities.dead-letter"}, "DEAD_LETTER_TOPIC is not set, so that it and ENTITY_STREAM_INPUT"),
    ],
)
def test_no_topic_is_used_twice(given: dict[str, str], both: str) -> None:
    """Input, output and dead letters are three topics, also where the third is a default."""
    assert both in the_mistake(given)


@pytest.mark.parametrize(
    "endpoint", ["http://localhost", "http://127.0.0.9:1", "http://[::1]:5000", "https://10.0.0.7", "HTTP://LOCALHOST"]
)
def test_the_key_may_travel_within_this_machine_or_encrypted(endpoint: str) -> None:
    """Plain HTTP is for loopback; HTTPS is for everywhere."""
    assert loaded(LANGUAGE_ENDPOINT=endpoint).languages()[0].url == endpoint


def test_plain_http_to_another_machine_can_be_allowed() -> None:
    """Who says so in a setting of its own may send the key unencrypted."""
    given = {"LANGUAGE_ENDPOINT": "http://engine:5000", "LANGUAGE_ALLOW_HTTP": "true"}
    assert loaded(**given).languages()[0].url == "http://engine:5000"
    told = the_mistake(given | {"LANGUAGE_ALLOW_HTTP": "yess"})
    assert "ALLOW_HTTP is 'yess'" in told, "and a mistake in it is not a second one in the endpoint"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ENTITY_STREAM_INPUT_TOPICS", "ENTITY_STREAM_INPUT_TOPIC"),
        ("ENTITY_STREAM_PORT", "ENTITY_STREAM_HTTP_PORT"),
        ("ENTITY_STREAM_LANGAUGE_KEY", "ENTITY_STREAM_LANGUAGE_KEY"),
        ("entity_stream_window", "ENTITY_STREAM_WINDOW"),
        ("ENTITYSTREAM_WINDOW", "ENTITY_STREAM_WINDOW"),
        ("ENTITY_STREAM_WINDOW_FILE", "ENTITY_STREAM_WINDOW"),
    ],
)
def test_an_unknown_variable_is_told_with_the_one_that_was_meant(name: str, meant: str) -> None:
    """A variable that looks like ours and is none is a mistake; its value is not shown, it may be a secret."""
    with pytest.raises(Mistakes) as caught:
        load(None, environ({}) | {name: SECRET})
    (mistake,) = caught.value.mistakes
    assert (mistake.what, mistake.where) == (f"there is no setting {name}", "environment")
    assert mistake.fix == f"Did you mean {meant}?"


def test_a_variable_like_none_of_ours_is_told_without_a_guess() -> None:
    """Where nothing is close, the mistake says to remove it."""
    assert "Remove it" in the_mistake({"QQQ": "1"})


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_mistake() -> None:
    """The links to a service called entity-stream, or entity-stream-engine, are not ours and harm nothing."""
    loaded(
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="9464",
        SERVICE_PORT_HTTP="9464",
        PORT="tcp://10.0.0.1:9464",
        PORT_9464_TCP="tcp://10.0.0.1:9464",
        PORT_9464_TCP_ADDR="10.0.0.1",
        ENGINE_SERVICE_HOST="10.0.0.2",
        ENGINE_PORT="tcp://10.0.0.2:5000",
    )


def test_the_environment_at_large_is_not_ours() -> None:
    """Other variables are ignored, also one whose name is ours without the prefix."""
    assert load(None, environ({}) | {"PATH": "/bin", "WINDOW": "3", "STREAM": "x"}).window == 64


# ---- Secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """Key and password are read from the files named, without the line end behind them."""
    key, word = written(tmp_path, f"{SECRET}\n", "key"), written(tmp_path, " pass word \r\n", "word")
    given = environ(SASL | {"LANGUAGE_KEY_FILE": key, "KAFKA_SASL_PASSWORD_FILE": word, "LANGUAGE_KEY": ""})
    found = load(None, given)
    assert (found.languages()[0].key, found.kafka().password) == (SECRET, " pass word ")


def test_a_secret_given_twice_is_a_mistake(tmp_path: Path) -> None:
    """Who sets both a secret and its file is asked to keep one."""
    key = written(tmp_path, SECRET)
    assert "LANGUAGE_KEY_FILE are both set" in the_mistake({"LANGUAGE_KEY_FILE": key})


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"\xff\xfe", "not the path of a text file"), (b"two words", "not a key")]
)
def test_what_a_secrets_file_holds_is_checked(tmp_path: Path, content: bytes, words: str) -> None:
    """A secret from a file is checked like any other."""
    assert words in the_mistake({"LANGUAGE_KEY": "", "LANGUAGE_KEY_FILE": written(tmp_path, content)})


def test_a_secrets_file_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    """The reason is told; the secret does not count as missing, too."""
    given = {"LANGUAGE_KEY": "", "LANGUAGE_KEY_FILE": str(tmp_path / "nothing")}
    assert the_mistake(given).startswith(f"{PREFIX}LANGUAGE_KEY_FILE names a file that cannot be read: No such file")


@given(st.text(st.characters(codec="utf-8"), min_size=1))
@example("")
@example("\n")
def test_no_secret_is_ever_shown(tail: str) -> None:
    """Wherever a secret is put, rightly or not, it is in no representation and in no mistake."""
    secret = SECRET + tail
    places = [
        {"LANGUAGE_KEY": secret},
        SASL | {"KAFKA_SASL_PASSWORD": secret},
        SASL | {"KAFKA_SASL_PASSWORD": f"\n{secret}"},
        {"KAFKA_SASL_PASSWORD": secret},
        {"LANGUAGE_KEY": f"{secret} "},
        {"LANGUAGE_KYE": secret},
        {"LANGUAGE_KEY": "", "LANGUAGE_KEY_FILE": secret},
        {"LANGUAGE_ENDPOINT": secret},
        {"LANGUAGE_ENDPOINT": f"https://me:{secret}@host"},
        {"LANGUAGE_ENDPOINT": f"https://host/?key={secret}"},
        {"KAFKA_BOOTSTRAP_SERVERS": f"me:{secret}@broker:9092"},
    ]
    for place in places:
        match outcome(place):
            case Mistakes() as wrong:
                assert SECRET not in f"{wrong}{wrong!r}{wrong.mistakes!r}", place
            case found:
                assert SECRET not in f"{found}{found!r}{found.kafka()}{found.languages()}{[found.kafka()]}", place


def test_a_line_that_is_no_setting_is_not_shown(tmp_path: Path) -> None:
    """A broken line of the file is told by its number alone, as it may hold a secret."""
    config = Path(
        written(tmp_path, f"# a comment\n\nENTITY_STREAM_LANGUAGE_KEY '{SECRET}'\nENTITY_STREAM_A='{SECRET}\n")
    )
    mistakes = refused({}, config)
    assert [f"line {number})" in mistake for number, mistake in zip((3, 4), mistakes, strict=True)] == [True, True]
    assert SECRET not in str(mistakes)


# ---- Files -----------------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Of a variable that both set, the environment's value counts; an empty one counts as none."""
    config = Path(
        written(tmp_path, "ENTITY_STREAM_WINDOW=5\nENTITY_STREAM_ATTEMPTS=6\nENTITY_STREAM_ORDER=partition\n")
    )
    found = loaded(config, WINDOW="7", ORDER="")
    assert (found.window, found.attempts, found.order) == (7, 6, "partition")


def test_a_secret_of_the_environment_wins_over_the_file_either_way(tmp_path: Path) -> None:
    """A secret and its file are one setting: the environment's overrides the file's, whichever of the two it is."""
    key = written(tmp_path, "from-its-file", "key")
    direct = Path(written(tmp_path, "ENTITY_STREAM_LANGUAGE_KEY=direct\n", "direct"))
    by_file = Path(written(tmp_path, f"ENTITY_STREAM_LANGUAGE_KEY_FILE={key}\n", "by-file"))
    assert loaded(by_file).languages()[0].key == SECRET
    assert loaded(by_file, LANGUAGE_KEY="").languages()[0].key == "from-its-file"
    assert loaded(direct, LANGUAGE_KEY="", LANGUAGE_KEY_FILE=key).languages()[0].key == "from-its-file"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("{}=plain", "plain"),
        ("  export {} = plain  # comment", "plain"),
        ("{}=plain\r", "plain"),
        ("{}=a#b", "a#b"),
        ("{}='a b # c'", "a b # c"),
        ('{}="a ${{b}} \\n"  # comment', "a ${b} \\n"),
        ("{}='it''", None),
        ("{}='open", None),
        ("{}: plain", None),
        ("plain", None),
    ],
)
def test_lines_are_read_as_written(tmp_path: Path, line: str, value: str | None) -> None:
    """NAME=value, with or without quotes; nothing in the value is interpreted, and what is no such line is told."""
    text = "\ufeff# a comment\n\n" + line.format("ENTITY_STREAM_KAFKA_SASL_PASSWORD")
    config = Path(written(tmp_path, text))
    if value is None:
        assert any("line 3" in mistake for mistake in refused(SASL, config))
    else:
        assert loaded(config, **SASL).kafka().password == value


def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    """The place of a wrong or unknown variable is file and line."""
    config = Path(written(tmp_path, "\nENTITY_STREAM_WINDOW=0\nENTITY_STREAM_WINDOWS=1\nPATH=x\nWINDOW=3\n"))
    unknown, bare, wrong = refused({}, config)
    assert f"({config}, line 2)" in wrong
    assert f"({config}, line 3)" in unknown
    assert "no setting WINDOW (" in bare
    assert "Did you mean ENTITY_STREAM_WINDOW?" in bare


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff", "not the path of a text file")])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, why: str) -> None:
    """The file that --config names has to be there and to be text."""
    config = tmp_path / "nothing" if content is None else Path(written(tmp_path, content))
    mistake = the_mistake({}, config)
    assert why in mistake
    assert "(--config)" in mistake


def test_the_process_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment to read, `load` reads that of the process; `Settings` alone reads none."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in environ({"WINDOW": "9"}).items():
        monkeypatch.setenv(name, value)
    assert load().window == 9
    with pytest.raises(ValueError, match="Field required") as caught:
        Settings.model_validate({"language_key": f"{SECRET} two words"})
    assert SECRET not in str(caught.value)


# ---- Whatever comes --------------------------------------------------------------------------------------------------


@given(VARIABLES)
def test_whatever_the_values_there_are_settings_or_mistakes(values: dict[str, str]) -> None:
    """Any values at all lead to settings that build their plans, or to mistakes; nothing else is raised."""
    match outcome(values):
        case Mistakes(mistakes=mistakes):
            assert all(mistake.what and mistake.where and mistake.fix for mistake in mistakes)
        case found:
            assert found.plan() and found.kafka() and found.languages() and found.topics() and found.watch()  # noqa: PT018


@given(st.one_of(st.binary(), st.lists(st.tuples(st.sampled_from(variables()), st.text())).map(
    lambda rows: "\n".join(f"{row.name}={text}" for row, text in rows).encode())))  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_file_there_are_settings_or_mistakes(tmp_path: Path, content: bytes) -> None:
    """Any bytes in the file lead to settings or to mistakes; nothing else is raised."""
    config = Path(written(tmp_path, content))
    match outcome({}, config):
        case Mistakes(mistakes=mistakes):
            assert mistakes
        case found:
            assert found.plan()


# ---- Documents -------------------------------------------------------------------------------------------------------


def test_the_example_file_is_what_the_model_says() -> None:
    """`.env.example` has every variable as the model describes it.

    To make it anew:
    python -c "from entity_stream.settings.documentation import example as e; print(e(), end='')" > .env.example
    (in an activated environment; it changes when the settings do).
    """
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_the_example_file_works_as_it_is() -> None:
    """What is set in the example is all that is required, for a broker and an engine on this machine."""
    assert load(ROOT / ".env.example", {"ENTITY_STREAM_LANGUAGE_KEY": SECRET}) == loaded()
    assert load(ROOT / ".env.example", {}).plan() == Plan()


def test_the_defaults_in_the_example_file_are_the_defaults(tmp_path: Path) -> None:
    """Take every comment sign away, and nothing changes."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8").replace("#ENTITY", "ENTITY")
    assert text.count("\nENTITY_STREAM_") == len(variables())
    found = load(Path(written(tmp_path, text)), {"ENTITY_STREAM_LANGUAGE_KEY": SECRET})
    assert found == loaded()


def test_the_readme_tells_every_setting() -> None:
    """Between its markers the README has the table that the model makes."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- settings -->\n(.*)<!-- /settings -->", readme, re.DOTALL)
    assert found, "README.md lacks the markers <!-- settings --> and <!-- /settings -->"
    assert found[1].strip() == settings_table().strip()


def test_every_variable_is_described() -> None:
    """Each variable has a sentence, words for what it takes, and a place in a section; secrets have no default."""
    rows = variables()
    assert len({row.name for row in rows}) == len(rows) == len(Settings.model_fields) + 3
    for row in rows:
        assert row.description.endswith("."), row.name
        assert row.type, row.name
        assert "|" not in row.description + row.type, "it would break the table"
        assert not (row.secret and row.default), row.name
    secret = {variable(name) for name in ("resources", "language_key", "kafka_sasl_password")}
    assert {row.name for row in rows if row.secret} == secret
    assert {row.name for row in rows if row.required} == {variable(name) for name in LOCAL}
    assert next(iter(SECTIONS)) == next(iter(Settings.model_fields))
    assert SECTIONS.keys() < Settings.model_fields.keys()
