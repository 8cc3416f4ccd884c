from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from node.streams import ReplyContent, ReplyStream

CHUNKS = st.lists(st.binary(min_size=1, max_size=12).map(lambda data: data.replace(b"x", b"\n")))


def content(chunks: Iterable[bytes]) -> ReplyContent:
    rest = iter(chunks)

    async def read() -> bytes:
        return next(rest, b"")

    return ReplyContent(read)


async def test_iter_any_keeps_the_chunks_as_they_were_sent() -> None:
    assert [chunk async for chunk in content([b"a", b"bc"]).iter_any()] == [b"a", b"bc"]


async def test_iter_chunks_pairs_each_chunk_with_its_end() -> None:
    chunks = [pair async for pair in content([b"a", b"bc"]).iter_chunks()]
    assert chunks == [(b"a", True), (b"bc", True)]


@given(CHUNKS, st.integers(1, 5))
async def test_every_way_of_reading_gives_the_same_bytes(chunks: list[bytes], size: int) -> None:
    whole = b"".join(chunks)
    assert await content(chunks).read() == whole
    pieces = [piece async for piece in content(chunks).iter_chunked(size)]
    assert b"".join(pieces) == whole
    assert all(len(piece) <= size for piece in pieces)
    lines = [line async for line in content(chunks)]
    assert lines == whole.splitlines(keepends=True) or b"\r" in whole
    some = content(chunks)
    got = b""
    while piece := await some.read(size):
        assert len(piece) <= size
        got += piece
    assert got == whole
    assert some.at_eof()


def test_headers_are_found_in_any_case_and_as_subnet_code_reads_them() -> None:
    reply = ReplyStream(status=200, headers={"X-Name": "é", "Content-Type": "text/plain; a=b"},
                        content=content([]))  # fmt: skip
    assert reply.headers["x-name"] == "é"
    assert reply.content_type == "text/plain"
    assert reply.__dict__["_raw_headers"] == (
        (b"x-name", "é".encode()),
        (b"content-type", b"text/plain; a=b"),
    )
