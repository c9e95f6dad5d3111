"""The house rules that a tool cannot check: layers, cycles, lengths, docstrings of tests. Change the table first."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "service" / "entity_stream"
CLIENTS = {"msgspec", "aiokafka", "httpx", "httpx_aiohttp", "aiohttp", "prometheus_client", "structlog"}

# layer: (layers of ours it may import, foreign modules it may import beside the standard library)
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "core": ({"core"}, {"msgspec"}),
    "ports": ({"core"}, {"msgspec"}),
    "plan": ({"core"}, {"msgspec"}),
    "moments": (set(), set()),
    "stacks": (set(), set()),
    "board": ({"core", "plan", "moments", "stacks"}, {"structlog"}),
    "tenure": ({"core", "ports", "moments"}, set()),
    "tenures": ({"core", "ports", "moments", "tenure"}, {"msgspec"}),
    "window": ({"moments"}, set()),
    "reading": ({"core", "ports", "plan", "moments", "tenures"}, set()),
    "calling": ({"core", "ports", "plan", "moments", "tenures"}, {"msgspec"}),
    "doubt": ({"core", "plan", "moments", "calling", "tenures"}, set()),
    "dividing": ({"core", "moments", "tenures"}, set()),
    "resources": ({"core", "ports", "plan", "moments", "calling", "dividing", "doubt", "tenures"}, set()),
    "pipeline": (
        {"core", "ports", "plan", "moments", "reading", "tenures", "window", "resources", "doubt"},
        set(),
    ),
    "edges": ({"core", "ports", "plan", "moments", "edges"}, CLIENTS),
    "engine": ({"core", "engine", "sample"}, {"msgspec", "pycrfsuite", "starlette", "uvicorn"}),
    "sample": (set(), set()),
    "settings": ({"core", "plan", "settings"}, {"pydantic", "pydantic_settings"}),
    "serving": (
        {"core", "ports", "plan", "moments", "pipeline", "board", "edges", "settings"},
        {"msgspec", "structlog"},
    ),
    "demo": (
        {"core", "plan", "engine", "sample", "serving", "demo"},
        {"aiokafka", "confluent_kafka", "msgspec", "rich"},
    ),
    "estimating": ({"core", "plan", "edges", "demo"}, set()),
    "cli": ({"core", "edges", "engine", "settings", "serving", "estimating", "demo"}, {"msgspec", "rich"}),
    "__init__": (set(), set()),
    "__main__": ({"cli"}, set()),
}  # fmt: skip
STRANGERS = ("bare", "on_arroyo", "on_faststream", "plain", "rest", "with_sdk")
"""What stands beside the service in the bench and shares nothing with it; one may use another."""

KEPT_OUT_OF_CORE = {"asyncio", "time", "random", "os", "logging", "socket", "pathlib", "subprocess", "threading"}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        layer = path.relative_to(PACKAGE).with_suffix("").parts[0]
        yield layer, path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    """The dotted names of all that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that a name says where it lives"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "entity_stream" else {module}
    return found


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize(
    ("layer", "path", "tree"), list(modules()), ids=lambda x: x.name if isinstance(x, Path) else ""
)
def test_each_layer_imports_only_what_the_table_grants(layer: str, path: Path, tree: ast.Module) -> None:
    """A module imports the layers and libraries that the table at the top grants to its layer, and no others."""
    ours, foreign = MAY_IMPORT[layer]
    for name in imported(tree):
        first, *rest = name.split(".")
        if first == "entity_stream":
            assert rest, f"{path.name} imports the whole package"
            assert rest[0] in ours, f"{path.name} imports {name}"
        elif first not in sys.stdlib_module_names:
            assert first in foreign, f"{path.name} imports {name}"


def test_the_core_does_no_io_and_reads_no_clock() -> None:
    """Nothing below core imports a module that can touch the outside or tell the time."""
    for layer, path, tree in modules():
        if layer in {"core", "ports"}:
            assert not {name.split(".")[0] for name in imported(tree)} & KEPT_OUT_OF_CORE, path.name
        if layer in {"plan", "moments", "tenure", "calling", "doubt", "pipeline", "board"}:
            assert not {name.split(".")[0] for name in imported(tree)} & {"time", "os", "logging"}, path.name


def test_only_settings_reads_the_environment() -> None:
    """`os.environ` and `os.getenv` appear in settings alone."""
    for layer, path, tree in modules():
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert layer == "settings" or not names & {"environ", "getenv"}, path.name


@pytest.mark.parametrize(
    "path",
    [
        *sorted((ROOT / "tests" / "judge").rglob("*.py")),
        *(ROOT / "tests" / "bench" / f"{each}.py" for each in STRANGERS),
    ],
    ids=lambda path: str(path.name),
)
def test_the_judge_knows_nothing_of_the_judged(path: Path) -> None:
    """Endpoint, checker and the peers of the bench import nothing of ours: no misreading hides on both sides."""
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        assert not name.startswith("entity_stream"), f"{path.name} imports {name}"
        allowed = name.startswith("tests.judge") or name.removeprefix("tests.bench.") in STRANGERS
        assert not name.startswith("tests") or allowed, f"{path.name} imports {name}"


def test_no_import_cycles() -> None:
    """No module of ours imports, by whatever way round, a module that imports it."""
    graph: dict[str, set[str]] = {}
    for _, path, tree in modules():
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {dep for dep in imported(tree) if dep.startswith("entity_stream.")}
    finished: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way, name])
        if name not in finished:
            for dep in graph.get(name, ()):
                visit(dep, (*way, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_no_function_is_longer_than_forty_lines() -> None:
    """A function has at most 40 lines, its docstring not counted."""
    for _, path, tree in modules():
        for function in functions(tree):
            doc = ast.get_docstring(function, clean=False)
            lines = (function.end_lineno or 0) - function.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            assert lines <= 40, f"{path.name}:{function.name} has {lines} lines"


def test_no_broad_except_swallows() -> None:
    """Whoever catches Exception or BaseException raises again."""
    for _, path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or any(word in ast.unparse(node.type).split(".") for word in ("Exception", "BaseException"))
            ):
                assert any(isinstance(inner, ast.Raise) for inner in ast.walk(node)), f"{path.name}:{node.lineno}"


def test_every_test_states_its_promise_in_one_sentence() -> None:
    """Each test function has a docstring of one sentence."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if function.name.startswith("test_"):
                doc = ast.get_docstring(function) or ""
                assert doc.rstrip().endswith("."), f"{path.name}:{function.name} states no promise"


def test_tests_neither_mock_nor_sleep() -> None:
    """No test uses a mock, and none waits for the real clock."""
    banned = {"time.sleep", "unittest.mock", "MagicMock", "AsyncMock", "monkeypatch.setattr"}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__):
            assert not [word for word in banned if word in text], path.name
