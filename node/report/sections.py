"""The sections between the page's head and its foot. What there is nothing to show of, is left out.

Figures are drawn twice, for a desk and for a phone; the style shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np

from node.neuron.scoring import Reason

from .axes import number_text, time_text
from .digest import Digest, PeerDigest
from .distributions import (
    Values,
    beyond,
    draw_distribution,
    draw_peers,
    draw_speed_and_score,
    speeds_and_scores,
)
from .markup import Child, element
from .over_time import (
    MOST_LINES,
    MOST_ROWS,
    draw_answers,
    draw_failures,
    draw_heat_map,
    draw_scores,
    marked_peers,
    named_reasons,
)
from .peer_table import peer_table, rows_shown
from .svg import OTHER, SERIES, page_settings, svg_of, variable_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sections_of"]

_WIDE, _HALF, _NARROW = 1160.0, 550.0, 380.0  # pixels
_HALF_HEIGHT = 280.0
_MOST_NOTES = 20
_Draw = Callable[[float, float], "Figure"]


def sections_of(digest: Digest) -> Iterator[ET.Element]:
    """Yields the sections in order."""
    if not digest.steps:
        yield _empty("The state has no steps yet. A validator writes one each time it has asked.")
    with mpl.rc_context(page_settings()):
        if digest.traced:
            yield _section("Scores", _plots(_scores(digest), _heat_map(digest)))
        if digest.steps:
            yield _section("Answers", _plots(_answers(digest), *_failures(digest)))
        speeds = [*_first_bytes(digest), *_rates(digest), *_speed_and_score(digest)]
        if speeds:
            yield _section("Speed", _plots(*speeds))
    if digest.notes:
        yield _section("Notes", _notes(digest))
    if digest.peers:
        yield _section("Peers", *_peers(digest))


def _section(title: str, *children: Child) -> ET.Element:
    return element("section", "", element("h2", "", title), *children)


def _plots(*figures: Child) -> ET.Element:
    return element("div", "plots", *figures)


def _empty(text: str) -> ET.Element:
    return element("p", "card empty", text)


def _scores(digest: Digest) -> ET.Element:
    has_bands = len(digest.here) > MOST_LINES
    marked = marked_peers(digest)
    if has_bands:
        caption = (
            "Median of all peers, with the middle half and the middle nine tenths of them shaded; "
            "the five best and the three worst in colour."
        )
    elif len(digest.traced) > len(marked):
        caption = (
            "The five best and the three worst peers in colour, the worst dashed; the others grey. "
            "Press a uid in the table below to see its line."
        )
    else:
        caption = "One line for each peer."
    return _plot(
        "scores",
        "Scores over time",
        caption,
        lambda width, height: draw_scores(digest, width, height),
        _key([(colour, _peer_name(peer), _mark(place, digest))
              for place, (peer, colour) in enumerate(marked)]),
        height=330.0,
        titles={f"uid-{peer.uid}": _peer_name(peer) for peer in digest.traced},
    )  # fmt: skip


def _mark(place: int, digest: Digest) -> str:
    return "dashed" if place >= 5 and len(digest.traced) > len(SERIES) else "line"


def _peer_name(peer: PeerDigest) -> str:
    return f"uid {peer.uid} · {0.0 if peer.score is None else peer.score:.3f}"


def _heat_map(digest: Digest) -> ET.Element:
    rows = min(len(digest.traced), MOST_ROWS)
    which = "each peer" if rows == len(digest.here) else f"each of {rows:,} peers, evenly spread"
    return _plot(
        "heat",
        "Scores of all peers",
        f"One row for {which}, ordered by score. Nothing is drawn before a peer's first score.",
        lambda width, height: draw_heat_map(digest, width, height),
        height=min(420.0, max(120.0, 80.0 + 15.0 * rows)),
    )


def _answers(digest: Digest) -> ET.Element:
    keys = [(SERIES[0], "answered", ""), (OTHER, "asked", "")]
    return _plot(
        "answers",
        "Answers per step",
        "How many peers each step asked, and how many of them answered.",
        lambda width, height: draw_answers(digest, width, height),
        _key(keys),
    )


def _failures(digest: Digest) -> Iterator[ET.Element]:
    failures = digest.reasons.total() - digest.reasons[Reason.OK]
    if not failures:
        yield element(
            "div", "card", element("h3", "", "Failures"), element("p", "muted", "There were none.")
        )
        return
    yield _plot(
        "failures",
        "Failures by reason",
        f"{failures:,} of {digest.reasons.total():,} verdicts earned nothing.",
        lambda width, height: draw_failures(digest, width, height),
    )
    yield element(
        "div",
        "card full",
        element("h3", "", "Reasons"),
        element("ul", "reasons", *_reasons(digest, failures)),
    )


def _reasons(digest: Digest, failures: int) -> Iterator[ET.Element]:
    named = named_reasons(digest)
    rest = failures - sum(digest.reasons[word] for word, _ in named)
    shown = [(word, colour, digest.reasons[word]) for word, colour in named]
    if rest:
        shown.append(("all others", OTHER, rest))
    most = max(count for _, _, count in shown)
    for word, colour, count in shown:
        bar = element("span", {"style": f"width:{count / most:.1%}"})
        yield element(
            "li",
            {"style": f"--c:{variable_of(colour)}"},
            element("span", "word", element("span", "swatch"), element("bdi", "", word)),
            element("span", "bar", bar),
            element("span", "count", f"{count:,} · {count / failures:.1%}"),
        )


def _first_bytes(digest: Digest) -> Iterator[ET.Element]:
    values = np.asarray(digest.first_bytes_s()) * 1000
    if not len(values):
        return
    yield _plot(
        "first-bytes",
        "Time to the first byte",
        _summary(values, "ms"),
        lambda width, height: draw_distribution(values, "ms", width, height),
    )
    if any(peer.first_bytes_s for peer in digest.here):
        yield _plot(
            "first-bytes-by-peer",
            "First byte by peer",
            "Median of each peer, and the range from its 10th to its 90th percentile.",
            lambda width, height: draw_peers(digest, width, height),
        )


def _rates(digest: Digest) -> Iterator[ET.Element]:
    values = np.asarray(digest.rates())
    if len(values):
        yield _plot(
            "rates",
            "Token rate",
            _summary(values, "tokens/s"),
            lambda width, height: draw_distribution(values, "tokens/s", width, height),
        )


def _speed_and_score(digest: Digest) -> Iterator[ET.Element]:
    points = speeds_and_scores(digest)
    if len(points) > 1:
        yield _plot(
            "speed-and-score",
            "Speed and score",
            "A dot for each peer. Quick peers with a low score fail for another reason.",
            lambda width, height: draw_speed_and_score(points, width, height),
        )


def _summary(values: Values, unit: str) -> str:
    low, middle, high = (float(part) for part in np.quantile(values, (0.05, 0.5, 0.95)))
    far = beyond(values)
    return (
        f"Median {number_text(middle)} {unit}; nine of ten between {number_text(low)} and "
        f"{number_text(high)}." + (f" {far:,} beyond the axis are in its end bars." if far else "")
    )


def _notes(digest: Digest) -> ET.Element:
    rows = []
    for note in digest.notes[:_MOST_NOTES]:
        times = "" if note.count == 1 else f"{note.count:,} times, last "
        when = f"{times}step {note.last_step:,}, {time_text(note.last_ns)}"
        rows.append(
            element("li", "", element("bdi", "", note.text), element("span", "muted", when))
        )
    hidden = len(digest.notes) - len(rows)
    more = element("p", "hint", f"{hidden:,} older notes are not shown.") if hidden else None
    return element("div", "card", element("ul", "notes", *rows), more)


def _peers(digest: Digest) -> Iterator[ET.Element]:
    shown, count = len(rows_shown(digest.peers)), len(digest.peers)
    text = "Press a heading to sort."
    if shown < count:
        text += (
            f" {shown // 2:,} from each end of all {count:,} peers; `ganglion scores export` "
            "writes all of them."
        )
    find = element(
        "input",
        {"id": "find", "type": "search", "placeholder": "Find a uid, hotkey or reason",
         "aria-label": "Find a uid, hotkey or reason", "hidden": "hidden"},
    )  # fmt: skip
    yield element("div", "tools", find, element("span", "hint", text))
    has_lines = len(digest.here) <= MOST_LINES
    yield element("div", "scroll", peer_table(digest, has_lines=has_lines))


def _plot(
    name: str,
    title: str,
    caption: str,
    draw: _Draw,
    *children: Child,
    height: float | None = None,
    titles: Mapping[str, str] = MappingProxyType({}),
) -> ET.Element:
    """A figure, drawn for a desk and for a phone.

    Args:
        name: Stands before its ids.
        title: Its heading.
        caption: A sentence or two.
        draw: Called with width and height in pixels.
        children: What follows the drawing.
        height: Of a figure over the whole width; without it the figure has half of the width.
        titles: As for `svg_of`.
    """
    width, tall = (_HALF, _HALF_HEIGHT) if height is None else (_WIDE, height)
    sizes = (("wide", width, tall), ("narrow", _NARROW, min(tall, _HALF_HEIGHT)))
    drawings = [
        element("div", kind, svg_of(draw(*size), f"{name}-{kind}", title, titles=titles))
        for kind, *size in sizes
    ]
    return element(
        "figure",
        "" if height is None else "full",
        element("h3", "", title),
        element("figcaption", "", caption),
        *drawings,
        *children,
    )


def _key(entries: Sequence[tuple[str, str, str]]) -> ET.Element:
    """What colours stand for: colour, text, and the kind of mark."""
    return element("ul", "key", *(
        element("li", "", element("span", {"class": f"swatch {mark}".strip(),
                                           "style": f"--c:{variable_of(colour)}"}), text)
        for colour, text, mark in entries
    ))  # fmt: skip
