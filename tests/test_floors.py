"""The floors of docs/decisions/0001: imports go down, never up, and never in a circle.

Imports are read from the source, those inside functions too, so that a lazy import can't hide
one. Imports under `if TYPE_CHECKING` in `node/__init__.py` are left out: that file only names
what loads on first use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The longest matching prefix gives the floor of a module.
FLOORS = {
    "node.version": 0,
    "node.errors": 0,
    "node.wake": 0,
    "node.whole": 0,
    "node.keys": 0,
    "node.wire": 0,
    "node.streams": 1,
    "node.synapse": 1,
    "node.typed_synapse": 1,
    "node.network": 2,
    "node.axon": 3,
    "node.dendrite": 3,
    "node.neuron": 4,
    "node.commands": 5,
    "node.compat": 5,
    "node.report": 5,
    "node.testing": 5,
    "node.cli": 5,
    "node.__main__": 5,
}
SANS_IO = ("node.wire", "node.streams", "node.synapse", "node.typed_synapse", "node.errors")
IO_MODULES = {"aiohttp", "socket", "sqlite3", "os", "pathlib", "time", "random", "secrets", "io"}


def modules() -> dict[str, Path]:
    """Return every module of the two packages by its dotted name."""
    found = {}
    for path in sorted([*ROOT.glob("node/**/*.py"), *ROOT.glob("protocols/**/*.py")]):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    return found


MODULES = modules()


@cache
def imports_of(name: str) -> frozenset[str]:
    """Return the dotted names that a module imports: of ours the module, of others the top."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(from_targets(node, package))
    return frozenset(nearest(target) for target in found)


def from_targets(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parent = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parent, *([node.module] if node.module else [])])
    for alias in node.names:
        yield f"{base}.{alias.name}"


def nearest(target: str) -> str:
    """Return the longest prefix of `target` that is a module of ours, or its first part."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in MODULES:
            return ".".join(parts[:length])
    return parts[0]


def floor_of(name: str) -> int | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in FLOORS:
            return FLOORS[prefix]
    return None


def room_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_every_module_of_node_has_a_floor() -> None:
    homeless = [name for name in MODULES if name != "node" and name.startswith("node.")]
    assert [name for name in homeless if floor_of(name) is None] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("node.")])
def test_a_module_imports_only_from_its_own_room_or_from_floors_below(name: str) -> None:
    own = floor_of(name)
    assert own is not None
    for target in imports_of(name):
        floor = floor_of(target)
        if floor is None or room_of(target) == room_of(name):
            continue
        # Floor 0 and 5 are one room each; rooms of floor 3 never see each other.
        same_floor_is_fine = own in (0, 1, 5)
        assert floor < own or (floor == own and same_floor_is_fine), f"{name} imports {target}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("node.")])
def test_no_module_of_node_imports_the_package_itself(name: str) -> None:
    # `import node` inside node would hide which floor is used.
    assert "node" not in imports_of(name)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("protocols")])
def test_protocols_use_the_public_names_only(name: str) -> None:
    ours = {target for target in imports_of(name) if target.startswith("node")}
    assert ours <= {"node"}


def test_only_floor_four_and_above_import_protocols() -> None:
    users = [name for name in MODULES if name.startswith("node.") and uses_protocols(name)]
    assert [name for name in users if (floor_of(name) or 0) < 4] == []


def test_nothing_else_imports_the_old_names() -> None:
    users = [
        name
        for name in MODULES
        if room_of(name) != "node.compat"
        and any(target.startswith("node.compat") for target in imports_of(name))
    ]
    assert users == []


def uses_protocols(name: str) -> bool:
    return any(target.startswith("protocols") for target in imports_of(name))


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(SANS_IO)])
def test_wire_and_message_floors_do_no_io_and_read_no_clock(name: str) -> None:
    assert imports_of(name) & IO_MODULES == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("node.wire")])
def test_the_wire_floor_knows_no_asyncio(name: str) -> None:
    assert "asyncio" not in imports_of(name)


def test_a_caller_is_made_by_verifiers_only() -> None:
    users = {
        name
        for name, path in MODULES.items()
        if "make_caller" in path.read_text() and name != "node.wire.caller"
    }
    assert users
    assert all(name.startswith("node.wire.") for name in users)


def test_imports_form_no_circle() -> None:
    graph = {
        name: {target for target in imports_of(name) if target in MODULES and target != name}
        for name in MODULES
        if name != "node"
    }
    # A package's __init__ lists its own modules; they are below it, not beside it.
    for name in graph:
        graph[name] -= {name.rpartition(".")[0], "node"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    import sys

    short = {name.rpartition(".")[2] for name in MODULES if "." in name}
    assert short & set(sys.stdlib_module_names) - {"__main__"} == set()
