"""Routes as data: what a forward function serves, read from its annotations."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import dataclass, field
from enum import Enum
from types import UnionType
from typing import Any

from node.errors import RouteError
from node.network.peer import MAX_CAPACITY, MAX_ROUTES, ROUTE_NAME
from node.synapse import StreamingReply, Synapse
from node.wire import Caller

__all__ = ["ForwardForm", "Hook", "Route", "declared_capacity", "read_hook", "read_route"]

_STREAM_TYPES = (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)


class ForwardForm(Enum):
    """How a forward function answers."""

    ASYNC = "async function"
    SYNC = "sync function"
    ASYNC_GENERATOR = "async generator"
    SYNC_GENERATOR = "sync generator"


@dataclass(frozen=True, slots=True)
class Hook:
    """A user's hook and whether it wants the caller beside the synapse."""

    function: Callable[..., Any]
    wants_caller: bool
    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """One forward and the hooks before it.

    Attributes:
        synapse_type: What its request is parsed to; the class name is the path.
        forward: The user's function.
        form: How it answers.
        blacklist: Refuses callers, or None.
        priority: Orders waiting requests, or None.
        verify: Further check of the verified request, or None.
        capacity: Forwards of it that run at once; None for as many as there are workers.
        name: The route's path without its slash.
        has_hooks: Whether a hook runs before its forward.
    """

    synapse_type: type[Synapse]
    forward: Hook
    form: ForwardForm
    blacklist: Hook | None
    priority: Hook | None
    verify: Hook | None
    capacity: int | None = None
    name: str = field(init=False)
    has_hooks: bool = field(init=False)

    def __post_init__(self) -> None:
        # Not for each request: to read anything from a model's class is slow.
        object.__setattr__(self, "name", self.synapse_type.__name__)
        hooks = self.verify or self.blacklist or self.priority
        object.__setattr__(self, "has_hooks", hooks is not None)


def declared_capacity(
    routes: Iterable[Route], workers: int, *, processes: int = 1
) -> dict[str, int]:
    """Return how many requests of each route a node says that it serves at once.

    A record has room for a number of routes and for names in ASCII. Of the others nothing is said,
    which means no limit; those whose capacity was set come first.
    """
    named = [route for route in routes if ROUTE_NAME.fullmatch(route.name)]
    named.sort(key=lambda route: route.capacity is None)
    each = [
        (route.name, workers if route.capacity is None else min(route.capacity, workers))
        for route in named[:MAX_ROUTES]
    ]
    return {name: min(capacity * processes, MAX_CAPACITY) for name, capacity in each}


def read_route(
    forward: Callable[..., Any],
    blacklist: Callable[..., Any] | None,
    priority: Callable[..., Any] | None,
    verify: Callable[..., Any] | None,
    *,
    local_names: dict[str, Any],
    capacity: int | None = None,
) -> Route:
    """Return the route that `forward`'s annotations describe.

    Args:
        forward: A function, method or `functools.partial`.
        blacklist: Hook or None.
        priority: Hook or None.
        verify: Hook or None.
        local_names: Names of the scope that attaches, where annotations written as text are
            looked up when the module doesn't have them.
        capacity: As for `Route`.

    Raises:
        RouteError: An annotation is absent or wrong, or the capacity is below 1; the text names
            the function.
    """
    hook = read_hook(forward, local_names=local_names)
    name = hook.name
    hints, parameters, _ = _signature_of(forward, local_names)
    synapse_type = hints.get(parameters[0])
    if not (isinstance(synapse_type, type) and issubclass(synapse_type, Synapse)):
        raise RouteError(
            f"{name}: annotate its parameter {parameters[0]!r} with a Synapse subclass "
            f"(found {_spell(synapse_type)}); its class name becomes the route"
        )
    _check_return(name, hints, synapse_type)
    if capacity is not None and capacity < 1:
        raise RouteError(f"{name}: its capacity must be 1 or more, not {capacity}")
    return Route(
        synapse_type=synapse_type,
        forward=hook,
        form=_form_of(forward),
        blacklist=blacklist and read_hook(blacklist, local_names=local_names),
        priority=priority and read_hook(priority, local_names=local_names),
        verify=verify and read_hook(verify, local_names=local_names),
        capacity=capacity,
    )


def read_hook(function: Callable[..., Any], *, local_names: dict[str, Any]) -> Hook:
    """Return `function` with what it takes: a synapse, and a `Caller` if it asks for one.

    Raises:
        RouteError: It is not callable or needs other arguments.
    """
    if not callable(function):
        raise RouteError(f"{function!r} is not callable; pass a function")
    name = _name_of(function)
    hints, parameters, needed = _signature_of(function, local_names)
    wants_caller = len(parameters) > 1 and Caller in _choices(hints.get(parameters[1]))
    if not parameters or needed > 1 + wants_caller:
        raise RouteError(
            f"{name}: it may take the synapse and, after it, one parameter annotated Caller; "
            f"it takes {', '.join(parameters) or 'nothing'}"
        )
    return Hook(function, wants_caller, name)


def _signature_of(
    function: Callable[..., Any], local_names: dict[str, Any]
) -> tuple[dict[str, Any], list[str], int]:
    """Return resolved annotations, the positional parameters, and how many have no default."""
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    if not inspect.isroutine(plain):
        plain = type(plain).__call__
    positional = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    parameters = [parameter.name for parameter in positional]
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    raw: dict[str, Any] = getattr(plain, "__annotations__", {})
    wanted = {*parameters[:2], "return"}
    hints = {key: _resolve(plain, raw[key], local_names) for key in wanted & set(raw)}
    return hints, parameters, needed


def _resolve(function: Callable[..., Any], annotation: Any, local_names: dict[str, Any]) -> Any:
    """Return the annotation as an object; None stays None, an unknown name stays text."""
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    names = {**vars(typing), **(vars(module) if module else {}), **local_names}
    names.update(_closure_of(inspect.unwrap(function)))
    try:
        # The text comes from the programmer's own source, as typing.get_type_hints evaluates it.
        found = eval(annotation, names)  # noqa: S307
        # An annotation in quotes, in a module whose annotations are all text, is text twice.
        return eval(found, names) if isinstance(found, str) else found  # noqa: S307
    except Exception:  # noqa: BLE001  border: whatever an annotation's text may raise
        return annotation


def _closure_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function closes over; a variable that is assigned later is left out."""
    plain = getattr(function, "__func__", function)
    free: tuple[str, ...] = getattr(getattr(plain, "__code__", None), "co_freevars", ())
    found: dict[str, Any] = {}
    for name, cell in zip(free, getattr(plain, "__closure__", None) or (), strict=False):
        with contextlib.suppress(ValueError):  # the cell is empty
            found[name] = cell.cell_contents
    return found


def _check_return(name: str, hints: dict[str, Any], synapse_type: type[Synapse]) -> None:
    if "return" not in hints:
        return
    declared = hints["return"]
    for choice in _choices(declared):
        origin = typing.get_origin(choice) or choice
        if isinstance(origin, type) and (
            issubclass(synapse_type, origin)
            or origin in _STREAM_TYPES
            or issubclass(origin, StreamingReply)
        ):
            return
    raise RouteError(
        f"{name}: it takes {synapse_type.__name__} and is annotated to return "
        f"{_spell(declared)}; return the same class, or an iterator of chunks"
    )


def _choices(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, UnionType):
        return typing.get_args(declared)
    return (declared,)


def _form_of(forward: Callable[..., Any]) -> ForwardForm:
    plain: Any = forward
    while isinstance(plain, functools.partial):
        plain = plain.func
    if not inspect.isroutine(plain):
        plain = plain.__call__
    if inspect.isasyncgenfunction(plain):
        return ForwardForm.ASYNC_GENERATOR
    if inspect.iscoroutinefunction(plain):
        return ForwardForm.ASYNC
    if inspect.isgeneratorfunction(plain):
        return ForwardForm.SYNC_GENERATOR
    return ForwardForm.SYNC


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name)


def _spell(annotation: Any) -> str:
    if annotation is None:
        return "none"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
