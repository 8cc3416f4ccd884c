"""What attach refuses, and that its message names the function."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from node import Axon, Caller, Dendrite, StreamingSynapse, Synapse
from node.errors import RouteError
from node.synapse import StreamingReply

from .synapses import Echo, Words


class Other(Synapse):
    text: str = ""


def no_annotation(synapse):  # type: ignore[no-untyped-def]
    return synapse


def not_a_synapse(synapse: dict[str, str]) -> dict[str, str]:
    return synapse


def an_instance(synapse: "Echo(text='')") -> Any:  # type: ignore[valid-type]  # noqa: UP037
    return synapse


def unknown_text(synapse: Nowhere) -> Any:  # type: ignore[name-defined]  # noqa: F821
    return synapse


def unknown_return(synapse: Echo) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return synapse


def returns_other(synapse: Echo) -> Other:
    return Other()


def returns_text(synapse: Echo) -> str:
    return synapse.text


def returns_nothing(synapse: Echo) -> None:
    return None


def takes_nothing() -> Echo:
    return Echo(text="")


def takes_two(synapse: Echo, engine: Any) -> Echo:
    return synapse


def takes_two_synapses(synapse: Echo, other: Echo) -> Echo:
    return synapse


def caller_first(caller: Caller, synapse: Echo) -> Echo:
    return synapse


def keyword_only(*, synapse: Echo) -> Echo:
    return synapse


class Wrong:
    def method(self, synapse: int) -> int:
        return synapse

    def __call__(self, synapse: int) -> int:
        return synapse


WRONG: list[tuple[Callable[..., Any], str]] = [
    (no_annotation, "no_annotation"),
    (not_a_synapse, "not_a_synapse"),
    (an_instance, "an_instance"),
    (unknown_text, "unknown_text"),
    (unknown_return, "unknown_return"),
    (returns_other, "returns_other"),
    (returns_text, "returns_text"),
    (returns_nothing, "returns_nothing"),
    (takes_nothing, "takes_nothing"),
    (takes_two, "takes_two"),
    (takes_two_synapses, "takes_two_synapses"),
    (caller_first, "caller_first"),
    (keyword_only, "keyword_only"),
    (Wrong().method, "Wrong.method"),
    (Wrong(), "Wrong"),
    (functools.partial(not_a_synapse), "not_a_synapse"),
    (lambda synapse: synapse, "<lambda>"),
]


@pytest.mark.parametrize(("forward", "name"), WRONG, ids=[name for _, name in WRONG])
def test_a_wrong_annotation_is_refused_by_the_functions_name(
    axon: Axon, forward: Callable[..., Any], name: str
) -> None:
    with pytest.raises(RouteError, match=name):
        axon.attach(forward)
    with pytest.raises(RouteError, match=name):
        axon.route(forward)


def test_the_unknown_name_of_an_annotation_is_told(axon: Axon) -> None:
    with pytest.raises(RouteError, match="Nowhere"):
        axon.attach(unknown_text)


def test_a_refused_forward_serves_nothing(axon: Axon) -> None:
    with pytest.raises(RouteError):
        axon.attach(returns_other)
    axon.attach(Good().echo)  # the route Echo is still free


class Good:
    def echo(self, synapse: Echo) -> Echo:
        return synapse


@pytest.mark.parametrize("hook", ["blacklist_fn", "priority_fn", "verify_fn"])
def test_a_hook_that_needs_more_is_refused_by_its_name(axon: Axon, hook: str) -> None:
    def greedy(synapse: Echo, caller: Caller, database: object) -> bool:
        return False

    hooks: dict[str, Any] = {hook: greedy}
    with pytest.raises(RouteError, match="greedy"):
        axon.attach(Good().echo, **hooks)


@pytest.mark.parametrize("hook", ["blacklist_fn", "priority_fn", "verify_fn"])
def test_a_hook_that_is_no_function_is_refused(axon: Axon, hook: str) -> None:
    with pytest.raises(RouteError, match="callable"):
        axon.attach(Good().echo, **{hook: 5})  # type: ignore[arg-type]


def test_what_is_no_function_is_refused(axon: Axon) -> None:
    with pytest.raises(RouteError, match="callable"):
        axon.attach(5)  # type: ignore[arg-type]


def test_a_route_that_is_taken_names_both_functions(axon: Axon) -> None:
    def second(synapse: Echo) -> Echo:
        return synapse

    axon.attach(Good().echo)
    with pytest.raises(RouteError, match=r"second.*Echo.*Good\.echo"):
        axon.attach(second)


def test_two_classes_of_one_name_are_one_route(axon: Axon) -> None:
    def make(name: str) -> type[Synapse]:
        return type(name, (Synapse,), {})

    first, second = make("Same"), make("Same")

    def serve_first(synapse: first) -> first:  # type: ignore[valid-type]
        return synapse

    def serve_second(synapse: second) -> second:  # type: ignore[valid-type]
        return synapse

    axon.attach(serve_first)
    with pytest.raises(RouteError, match="Same"):
        axon.attach(serve_second)


async def test_classes_of_the_test_function_itself_are_found(
    axon: Axon, dendrite: Dendrite
) -> None:
    class Local(Synapse):
        answer: str = ""

    class LocalStream(Words):
        pass

    async def forward(synapse: Local) -> Local:
        synapse.answer = "local"
        return synapse

    async def stream(synapse: LocalStream, caller: Caller) -> AsyncIterator[str]:
        yield "local"

    axon.attach(forward).attach(stream)
    async with axon:
        assert (await dendrite(axon.info(), Local())).answer == "local"
        assert (await dendrite.call(axon.info(), LocalStream())).completion == "local"


async def test_an_annotation_in_quotes_is_found(axon: Axon, dendrite: Dendrite) -> None:
    def forward(synapse: "Echo") -> "Echo":  # noqa: UP037
        synapse.answer = "quoted"
        return synapse

    axon.attach(forward)
    async with axon:
        assert (await dendrite(axon.info(), Echo(text=""))).answer == "quoted"


def attach_elsewhere(axon: Axon, forward: Callable[..., Any]) -> None:
    axon.attach(forward)


def test_a_closures_own_class_is_found_from_another_scope(axon: Axon) -> None:
    class Hidden(Synapse):
        pass

    def forward(synapse: Hidden) -> Hidden:
        return Hidden() if synapse else synapse

    attach_elsewhere(axon, forward)


def words_iterator(synapse: Words) -> Iterator[str]:
    return iter(())


def words_generator(synapse: Words) -> Generator[str, None, None]:
    yield ""


async def words_async_generator(synapse: Words) -> AsyncGenerator[str, None]:
    yield ""


def words_reply(synapse: Words) -> StreamingReply:
    return synapse.create_streaming_response(lambda send: send({}))


def words_seed_reply(synapse: Words) -> Words.BTStreamingResponse:
    return Words.BTStreamingResponse(lambda send: send({}), synapse)


def words_either(synapse: Words) -> Words | AsyncIterator[str]:
    return synapse


def words_parent(synapse: Words) -> StreamingSynapse:
    return synapse


def words_unsaid(synapse: Words):  # type: ignore[no-untyped-def]
    return synapse


@pytest.mark.parametrize(
    "forward",
    [
        words_iterator,
        words_generator,
        words_async_generator,
        words_reply,
        words_seed_reply,
        words_either,
        words_parent,
        words_unsaid,
    ],
)
def test_these_return_annotations_are_taken(axon: Axon, forward: Callable[..., Any]) -> None:
    axon.attach(forward)
