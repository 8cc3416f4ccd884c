"""Figures of what was measured of replies: time to the first byte, token rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .axes import label_axis, label_shares, number_text
from .digest import Digest, even_sample
from .svg import INK, MUTED, SERIES, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "Values",
    "beyond",
    "draw_distribution",
    "draw_peers",
    "draw_speed_and_score",
    "speeds_and_scores",
]

Values: TypeAlias = "Sequence[float] | NDArray[Any]"
"""Numbers, one or more."""

_BINS = 48
_LOG_RATIO = 30.0  # from where on a linear axis would hide the quickest
_TICK_WIDTH, _TICK_HEIGHT = 46.0, 24.0  # pixels that a number on an axis takes
_MOST_STAIRS = 200
_MOST_BOXES = 40
_MOST_RANKS = 1000
_MOST_GROUPS = 100  # of neighbours in rank, whose median stands for them


def draw_distribution(values: Values, unit: str, width: float, height: float) -> Figure:
    """Draws a histogram of values with a line for the share that is no larger.

    The few that are far from all others are in the first and the last bar, as `beyond` counts.

    Args:
        values: One or more.
        unit: What they count, such as `ms`.
        width: Pixels.
        height: Pixels.
    """
    from matplotlib.ticker import MaxNLocator

    figure = figure_of(width, height)
    axes = figure.subplots()
    numbers = np.sort(np.clip(values, *_limits(values)))
    is_log, edges = _edges(numbers)
    counts, _ = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)
    axes.stairs(counts, edges, fill=True, color=SERIES[0], alpha=0.55, linewidth=0)
    axes.set_ylim(0.0, max(1.0, counts.max() * 1.06))
    axes.yaxis.set_major_formatter(lambda value, _: number_text(value))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _label_values(axes, edges, width, is_log=is_log)
    label_axis(axes, "replies")
    axes.set_xlabel(f"{unit}, logarithmic" if is_log else unit)
    _draw_shares(axes, numbers, edges)
    axes.set_xlim(edges[0], edges[-1])
    return figure


def beyond(values: Values) -> int:
    """Returns how many values are too far from all others to have a place on the axis."""
    low, high = _limits(values)
    numbers = np.asarray(values)
    return int(((numbers < low) | (numbers > high)).sum())


def _limits(values: Values) -> tuple[float, float]:
    low, high = np.quantile(values, (0.005, 0.995))
    return float(low) / 10, float(high) * 10


def _draw_shares(axes: Axes, numbers: NDArray[Any], edges: NDArray[Any]) -> None:
    shares = axes.twinx()
    if len(numbers) <= _MOST_STAIRS:
        places = np.concatenate([edges[:1], numbers, edges[-1:]])
        steps = np.concatenate([[0.0], np.arange(1, len(numbers) + 1) / len(numbers), [1.0]])
        shares.step(places, steps, where="post", color=INK, linewidth=1.4)
    else:
        steps = np.searchsorted(numbers, edges, side="right") / len(numbers)
        shares.plot(edges, steps, color=INK, linewidth=1.6)
    label_shares(shares)
    shares.grid(visible=False)
    shares.spines[:].set_visible(False)
    shares.set_title("share so far", loc="right", color=MUTED, pad=8)


def draw_peers(digest: Digest, width: float, height: float) -> Figure:
    """Draws each peer's time to the first byte, the quickest peer first.

    Up to 40 peers have a bar from their 10th to their 90th percentile with a dot for the median;
    of more, these are lines over the peers' ranks, and of more than 200, over groups of ranks.
    """
    figure = figure_of(width, height)
    axes = figure.subplots()
    rows = sorted(
        (
            (*np.quantile(peer.first_bytes_s, (0.5, 0.1, 0.9)) * 1000, peer.uid)
            for peer in even_sample(digest.here, _MOST_RANKS)
            if peer.first_bytes_s
        ),
    )
    middles, lows, highs, uids = (np.array(column) for column in zip(*rows, strict=True))
    ends = np.concatenate([lows, highs])
    if _is_wide(ends):
        axes.set_yscale("log")
        _number_powers(axes.yaxis, ends.max() / ends[ends > 0].min(), height / _TICK_HEIGHT)
    else:
        axes.set_ylim(0.0, max(1.0, float(highs.max()) * 1.05))
    axes.yaxis.set_major_formatter(lambda value, _: number_text(value))
    places = np.arange(len(rows))
    if len(rows) <= _MOST_BOXES:
        axes.vlines(places, lows, highs, color=SERIES[0], linewidth=5, alpha=0.45)
        axes.plot(places, middles, "o", color=SERIES[0], markersize=5)
        _label_uids(axes, uids, width)
        axes.set_xlabel("uid, quickest first")
    else:
        _draw_ranks(axes, middles, lows, highs)
    axes.grid(visible=False, axis="x")
    axes.spines["left"].set_visible(False)
    label_axis(axes, "ms")
    return figure


def _draw_ranks(axes: Axes, middles: NDArray[Any], lows: NDArray[Any], highs: NDArray[Any]) -> None:
    count = len(middles)
    places = np.arange(count)
    if count > 2 * _MOST_GROUPS:
        groups = np.array_split(places, _MOST_GROUPS)
        middles, lows, highs = (
            np.array([np.median(column[group]) for group in groups])
            for column in (middles, lows, highs)
        )
        places = np.array([group.mean() for group in groups])
    axes.fill_between(places, lows, highs, color=SERIES[0], alpha=0.3, linewidth=0)
    axes.plot(places, middles, color=SERIES[0], linewidth=1.8)
    axes.set_xlabel("peers, quickest first")
    axes.set_xlim(0, count - 1)
    axes.xaxis.set_major_formatter(lambda value, _: number_text(value))


def speeds_and_scores(digest: Digest) -> list[tuple[float, float]]:
    """Returns median first byte in milliseconds and score of at most 1,000 peers."""
    return [
        (float(np.median(peer.first_bytes_s)) * 1000, peer.score)
        for peer in even_sample(digest.here, _MOST_RANKS)
        if peer.first_bytes_s and peer.score is not None
    ]


def draw_speed_and_score(
    points: Sequence[tuple[float, float]], width: float, height: float
) -> Figure:
    """Draws a dot for each peer, its time to the first byte by its score.

    Args:
        points: As `speeds_and_scores` returns them, one or more.
        width: Pixels.
        height: Pixels.
    """
    figure = figure_of(width, height)
    axes = figure.subplots()
    speeds, scores = (np.array(column) for column in zip(*points, strict=True))
    axes.plot(speeds, scores, "o", color=SERIES[0], markersize=5, alpha=0.55, markeredgewidth=0)
    is_log, edges = _edges(np.sort(speeds))
    _label_values(axes, edges, width, is_log=is_log)
    axes.grid(visible=True)
    axes.set_ylim(min(0.0, scores.min()) - 0.03, max(1.0, scores.max()) * 1.05)
    axes.set_xlabel("median first byte, ms, logarithmic" if is_log else "median first byte, ms")
    label_axis(axes, "score")
    return figure


def _edges(numbers: NDArray[Any]) -> tuple[bool, NDArray[Any]]:
    """Whether to draw on a logarithmic axis, and the edges of the bins."""
    if _is_wide(numbers):
        # Not below a millionth of the slowest, so that one odd value does not take all the room.
        low = max(float(numbers[numbers > 0][0]), float(numbers[-1]) / 1e6)
        return True, np.geomspace(low, float(numbers[-1]) * 1.0001, _BINS + 1)
    most = float(numbers[-1]) * 1.02 or 1.0
    least = float(numbers[0]) * 0.98
    return False, np.linspace(least if least > most / 2 else 0.0, most, _BINS + 1)


def _is_wide(numbers: NDArray[Any]) -> bool:
    positive = numbers[numbers > 0]
    return bool(len(positive)) and bool(positive.max() > _LOG_RATIO * positive.min())


def _number_powers(axis: XAxis | YAxis, ratio: float, most: float) -> None:
    """Puts a number at 1, 2, 5, 10, 20 and so on, or at powers of ten if that were over `most`."""
    from matplotlib.ticker import LogLocator, NullFormatter

    subs = (1.0, 2.0, 5.0) if 3 * math.log10(ratio) <= most else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_formatter(NullFormatter())


def _label_values(axes: Axes, edges: NDArray[Any], width: float, *, is_log: bool) -> None:
    if is_log:
        axes.set_xscale("log")
        _number_powers(axes.xaxis, edges[-1] / edges[0], width / _TICK_WIDTH)
    axes.xaxis.set_major_formatter(lambda value, _: number_text(value))
    axes.grid(visible=False, axis="x")
    axes.spines["left"].set_visible(False)


def _label_uids(axes: Axes, uids: NDArray[Any], width: float) -> None:
    step = -(-len(uids) // int(width / 28))
    axes.set_xticks(range(0, len(uids), step), [str(int(uid)) for uid in uids[::step]])
