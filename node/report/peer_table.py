"""The table of peers: one row each, sorted by the reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import numpy as np

from .digest import Digest, PeerDigest
from .markup import element

__all__ = ["MOST_ROWS", "peer_table", "rows_shown", "short"]

MOST_ROWS = 1000
_HEAD, _TAIL = 6, 5


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of numbers.

    Attributes:
        heading: Its name.
        value: What it is sorted by; None where there is nothing.
        form: How it is shown.
        hint: What it counts, shown on hover.
        first: The way in which the first click sorts.
    """

    heading: str
    value: Callable[[PeerDigest], float | None]
    form: Callable[[float], str]
    hint: str
    first: str = "descending"


def peer_table(digest: Digest, *, has_lines: bool) -> ET.Element:
    """Returns the table.

    Args:
        digest: What to show.
        has_lines: Whether each peer has a line that a click on its uid could mark.
    """
    columns = _columns(digest)
    most = max((peer.score or 0.0 for peer in digest.peers), default=0.0)
    heads = [
        _head("uid", "", "ascending"),
        _head("hotkey", "text", "ascending"),
        *(_head(c.heading, "", c.first, c.hint) for c in columns),
        _head("most frequent failure", "text", "ascending"),
    ]
    heads[2].set("aria-sort", "descending")
    rows = [_row(peer, columns, most, has_line=has_lines) for peer in rows_shown(digest.peers)]
    return element(
        "table",
        {"id": "peers"},
        element("thead", "", element("tr", "", *heads)),
        element("tbody", "", *rows),
    )


def rows_shown(peers: Sequence[PeerDigest]) -> list[PeerDigest]:
    """Returns those that have a row: of more than 1,000 the 500 at each end that are here."""
    if len(peers) > MOST_ROWS:
        peers = [peer for peer in peers if peer.is_here] or peers
    if len(peers) <= MOST_ROWS:
        return list(peers)
    return [*peers[: MOST_ROWS // 2], *peers[-MOST_ROWS // 2 :]]


def short(hotkey: str) -> str:
    """Returns the start and the end of an address."""
    if len(hotkey) <= _HEAD + _TAIL + 1:
        return hotkey
    return f"{hotkey[:_HEAD]}…{hotkey[-_TAIL:]}"


def _columns(digest: Digest) -> list[_Column]:
    def weight_of(peer: PeerDigest) -> float | None:
        return digest.weights.get(peer.uid, 0.0) if peer.is_here else None

    columns = [
        _Column("score", lambda peer: peer.score, _fixed, "moving average of the rewards"),
        _Column("last reward", lambda peer: _known(peer.last_reward), _fixed, "0 to 1"),
        _Column("answered", _answered, _percent, "share of its events with a complete reply"),
        _Column("first byte, ms", lambda peer: _quantile(peer, 0.5), _whole, "median", "ascending"),
        _Column("p95, ms", lambda peer: _quantile(peer, 0.95), _whole,
                "95th percentile of the first byte", "ascending"),
        _Column("tokens/s", _rate, _whole, "median"),
    ]  # fmt: skip
    if digest.weights:
        weight = _Column("weight", weight_of, _weight, "as it was last set")
        columns.insert(1, weight)
    return columns


def _head(text: str, kind: str, first: str, hint: str = "") -> ET.Element:
    attributes = {"class": kind, "aria-sort": "none", "data-first": first, "scope": "col"}
    button = element("button", {"type": "button"}, text)
    return element("th", {**attributes, "title": hint or None}, button)


def _row(
    peer: PeerDigest, columns: Sequence[_Column], most: float, *, has_line: bool
) -> ET.Element:
    uid = str(peer.uid) if peer.is_here else ""
    shown = _line_button(uid) if has_line and uid and peer.steps else uid or "left"
    cells = [element("td", {"data-v": uid, "class": "" if uid else "left"}, shown)]
    hotkey = element("abbr", {"class": "hotkey", "title": peer.hotkey}, short(peer.hotkey))
    cells.append(element("td", {"class": "text", "data-v": peer.hotkey}, hotkey))
    cells += [_number(peer, column, most) for column in columns]
    cells.append(_failure(peer))
    return element("tr", {"data-find": f"{uid} {peer.hotkey} {' '.join(peer.reasons)}"}, *cells)


def _line_button(uid: str) -> ET.Element:
    attributes = {"type": "button", "data-line": f"uid-{uid}", "aria-pressed": "false"}
    return element("button", {**attributes, "title": "show its line in the plot of scores"}, uid)


def _number(peer: PeerDigest, column: _Column, most: float) -> ET.Element:
    value = column.value(peer)
    if value is None:
        return element("td", {"data-v": ""}, "-")
    cell = element("td", {"data-v": f"{value:.6g}"}, column.form(value))
    if column.heading == "score" and most > 0:
        cell.set("class", "score")
        cell.set("style", f"--share:{min(1.0, max(0.0, value / most)):.3f}")
    return cell


def _failure(peer: PeerDigest) -> ET.Element:
    usual = peer.usual_failure
    if usual is None:
        return element("td", {"class": "text", "data-v": ""}, "-")
    word, count = usual
    times = element("span", "muted", f" · {count:,}")
    return element("td", {"class": "text", "data-v": word}, element("bdi", "", word), times)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _answered(peer: PeerDigest) -> float | None:
    return peer.answered / peer.events if peer.events else None


def _quantile(peer: PeerDigest, share: float) -> float | None:
    values = peer.first_bytes_s
    return float(np.quantile(values, share)) * 1000 if values else None


def _rate(peer: PeerDigest) -> float | None:
    return float(np.quantile(peer.rates, 0.5)) if peer.rates else None


def _fixed(value: float) -> str:
    return f"{value:.3f}"


def _weight(value: float) -> str:
    return f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
