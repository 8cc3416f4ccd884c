from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BadReply
from node.streams import Frame, FrameDecoder, FrameKind, encode_frame

FRAMES = st.lists(
    st.builds(Frame, st.sampled_from([FrameKind.CHUNK, FrameKind.HEARTBEAT]), st.binary())
)


def test_a_frame_is_a_kind_a_length_and_a_payload() -> None:
    assert encode_frame(FrameKind.CHUNK, b"ab") == bytes([16, 0, 0, 0, 2]) + b"ab"


@given(FRAMES, st.data())
def test_frames_survive_any_split(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(*frame) for frame in [*frames, Frame(FrameKind.END, b"{}")])
    decoder = FrameDecoder()
    found: list[Frame] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [*frames, Frame(FrameKind.END, b"{}")]
    assert decoder.closed
    assert not decoder.mid_frame


@pytest.mark.parametrize(
    "sizes", [[1], [4095], [4096], [4097], [65_541], [262_108], [1, 4096], [4096, 1, 1, 70_000]]
)
def test_long_frames_survive_parts_of_any_size(sizes: list[int]) -> None:
    payloads = [bytes(number % 251 for number in range(size)) for size in (70_000, 5, 12_289)]
    stream = b"".join(encode_frame(FrameKind.CHUNK, payload) for payload in payloads)
    decoder, start = FrameDecoder(), 0
    found: list[Frame] = []
    for size in itertools.cycle(sizes):
        found += decoder.feed(stream[start : start + size])
        start += size
        if start >= len(stream):
            break
    assert [frame.payload for frame in found] == payloads
    assert {type(frame.payload) for frame in found} == {bytes}
    assert not decoder.mid_frame


@pytest.mark.parametrize("sizes", [[1], [4096, 1]], ids=["one by one", "long and short by turns"])
def test_a_frame_that_drips_takes_no_more_than_its_length(sizes: list[int]) -> None:
    """An object for each part would take some 40 bytes more for each."""
    length = 2**20
    decoder = FrameDecoder()
    list(decoder.feed(encode_frame(FrameKind.CHUNK, bytes(length))[:5]))
    tracemalloc.start()
    try:
        arrived = 0
        for size in itertools.cycle(sizes):
            list(decoder.feed(bytes(size)))
            arrived += size
            if arrived + max(sizes) >= length:
                break
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.5 * length


@given(FRAMES, st.data())
def test_chunks_that_follow_each_other_come_as_one_run(
    frames: list[Frame], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    cut = data.draw(st.integers(0, len(stream)))
    decoder = FrameDecoder()
    runs = [run for part in (stream[:cut], stream[cut:]) for run in decoder.runs(part)]
    assert [Frame(kind, each) for kind, payloads in runs for each in payloads] == frames
    kinds = [kind for kind, _ in FrameDecoder().runs(stream)]
    assert (FrameKind.CHUNK, FrameKind.CHUNK) not in itertools.pairwise(kinds)


@given(FRAMES, st.lists(st.integers(0, 400), max_size=4), st.sampled_from([bytes, memoryview]))
def test_pieces_that_came_together_are_one_run_as_well(
    frames: list[Frame], cuts: list[int], piece: type[bytes | memoryview]
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    edges = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    decoder = FrameDecoder()
    runs = list(decoder.runs(*(piece(stream[a:b]) for a, b in itertools.pairwise(edges))))
    assert [Frame(kind, each) for kind, payloads in runs for each in payloads] == frames
    assert (FrameKind.CHUNK, FrameKind.CHUNK) not in itertools.pairwise(kind for kind, _ in runs)
    assert all(type(each) is bytes for _, payloads in runs for each in payloads)
    assert not decoder.mid_frame


@pytest.mark.parametrize("cut", [2, 5, 100, 5000, 19_000])
def test_what_a_view_showed_may_change_afterwards(cut: int) -> None:
    frames = [Frame(FrameKind.CHUNK, bytes([number]) * 10_000) for number in range(4)]
    stream = b"".join(encode_frame(*frame) for frame in frames)
    decoder, buffer = FrameDecoder(), bytearray(cut)
    found: list[bytes] = []
    for start in range(0, len(stream), cut):
        part = stream[start : start + cut]
        buffer[: len(part)] = part
        for _, payloads in decoder.runs(memoryview(buffer)[: len(part)]):
            found += payloads
        buffer[:] = bytes([255]) * cut
    assert found == [payload for _, payload in frames]


@given(st.binary())
def test_garbage_gives_frames_or_a_bad_reply(data: bytes) -> None:
    decoder = FrameDecoder(max_frame_bytes=1000)
    try:
        list(decoder.feed(data))
    except BadReply:
        return
    assert len(data) < 5 or data[0] in set(FrameKind)


def test_a_giant_frame_fails_at_its_tag() -> None:
    decoder = FrameDecoder(max_frame_bytes=1000)
    with pytest.raises(BadReply, match="1001 bytes"):
        list(decoder.feed(bytes([16]) + (1001).to_bytes(4, "big")))


def test_good_frames_before_a_bad_one_are_kept() -> None:
    frames = FrameDecoder().feed(encode_frame(FrameKind.CHUNK, b"good") + b"\xff\0\0\0\0")
    assert next(frames) == (FrameKind.CHUNK, b"good")
    with pytest.raises(BadReply, match="kind 255"):
        next(frames)


@pytest.mark.parametrize("kind", [FrameKind.END, FrameKind.ERROR])
@pytest.mark.parametrize("more", [b"x", encode_frame(FrameKind.CHUNK, b"late")])
def test_nothing_follows_the_last_frame(kind: FrameKind, more: bytes) -> None:
    decoder = FrameDecoder()
    with pytest.raises(BadReply):
        list(decoder.feed(encode_frame(kind, b"") + more))
    decoder = FrameDecoder()
    assert len(list(decoder.feed(encode_frame(kind, b"")))) == 1
    with pytest.raises(BadReply):
        list(decoder.feed(more))
