from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from node import Axon, Caller, StreamingSynapse, Synapse
from node.axon.routes import ForwardForm, read_route
from node.errors import RouteError
from protocols import Prompting, StreamPrompting


async def plain(synapse: Prompting) -> Prompting:
    return synapse


def sync(synapse: Prompting) -> Prompting:
    return synapse


async def agen(synapse: StreamPrompting) -> AsyncIterator[str]:
    yield synapse.messages[0]


def gen(synapse: StreamPrompting) -> Iterator[str]:
    yield synapse.messages[0]


def wrapped(synapse: StreamPrompting) -> StreamingSynapse.BTStreamingResponse:
    raise AssertionError


class Callable_:  # noqa: N801
    async def __call__(self, synapse: Prompting, caller: Caller) -> Prompting:
        return synapse

    async def method(self, synapse: Prompting) -> Prompting:
        return synapse


async def bound_first(extra: int, synapse: Prompting) -> Prompting:
    return synapse


FORMS: list[tuple[Callable[..., Any], type[Synapse], ForwardForm, bool]] = [
    (plain, Prompting, ForwardForm.ASYNC, False),
    (sync, Prompting, ForwardForm.SYNC, False),
    (agen, StreamPrompting, ForwardForm.ASYNC_GENERATOR, False),
    (gen, StreamPrompting, ForwardForm.SYNC_GENERATOR, False),
    (wrapped, StreamPrompting, ForwardForm.SYNC, False),
    (Callable_(), Prompting, ForwardForm.ASYNC, True),
    (Callable_().method, Prompting, ForwardForm.ASYNC, False),
    (functools.partial(bound_first, 5), Prompting, ForwardForm.ASYNC, False),
]


def read(forward: Callable[..., Any], **hooks: Any) -> Any:
    options = {"blacklist": None, "priority": None, "verify": None, **hooks}
    return read_route(forward, **options, local_names={})


@pytest.mark.parametrize(("forward", "kind", "form", "wants"), FORMS)
def test_a_route_is_read_from_annotations(
    forward: Callable[..., Any], kind: type[Synapse], form: ForwardForm, wants: bool
) -> None:
    route = read(forward)
    assert (route.synapse_type, route.form, route.forward.wants_caller) == (kind, form, wants)
    assert route.name == kind.__name__


def test_names_of_the_scope_that_attaches_are_found(axon: Axon) -> None:
    class Local(Synapse):
        word: str = ""

    async def forward(synapse: Local, who: Caller) -> Local:
        return synapse

    axon.attach(forward)
    with pytest.raises(RouteError, match="route Local is already served"):
        axon.route(forward)


async def no_annotation(synapse) -> Prompting:  # type: ignore[no-untyped-def]
    return Prompting(messages=[])


async def not_a_synapse(synapse: int) -> int:
    return synapse


async def wrong_return(synapse: Prompting) -> int:
    return 1


async def none_return(synapse: Prompting) -> None:
    return None


async def other_return(synapse: Prompting) -> StreamPrompting:
    return StreamPrompting(messages=[])


async def nothing() -> Prompting:
    return Prompting(messages=[])


async def third(synapse: Prompting, caller: Caller, more: int) -> Prompting:
    return synapse


async def not_a_caller(synapse: Prompting, caller: str) -> Prompting:
    return synapse


async def unknown(synapse: Missing) -> Missing:  # type: ignore[name-defined]  # noqa: F821
    return synapse


@pytest.mark.parametrize(
    "forward",
    [
        no_annotation,
        not_a_synapse,
        wrong_return,
        none_return,
        other_return,
        nothing,
        third,
        not_a_caller,
        unknown,
    ],
)
def test_a_wrong_annotation_is_refused_and_names_the_function(forward: Any) -> None:
    with pytest.raises(RouteError, match=forward.__name__):
        read(forward)


@pytest.mark.parametrize("hook", ["blacklist", "priority", "verify"])
def test_a_hook_that_can_not_be_called_so_is_refused(hook: str) -> None:
    def takes_two(synapse: Prompting, more: int) -> bool:
        return True

    with pytest.raises(RouteError, match="takes_two"):
        read(plain, **{hook: takes_two})
    with pytest.raises(RouteError, match="not callable"):
        read(plain, **{hook: 5})
