"""Figures with the kept steps along the x axis: scores, failures, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from node.neuron.scoring import Reason

from .axes import label_axis, label_steps, number_text
from .digest import Digest, PeerDigest, even_sample
from .svg import INK, MUTED, OTHER, SERIES, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "MOST_LINES",
    "MOST_ROWS",
    "draw_answers",
    "draw_failures",
    "draw_heat_map",
    "draw_scores",
    "marked_peers",
    "named_reasons",
]

MOST_LINES = 256  # from here on bands tell more than lines
_LINE_POINTS = 16_000  # of all grey lines together
_MARKED = 5  # best peers with a colour of their own; and as many of the worst as colours are left
MOST_ROWS = 512
_ROW_LABEL_HEIGHT = 19.0  # pixels of the figure for each row, below which uids would touch
_OPEN_END = 0.5  # of a step, so that one alone has a width


def marked_peers(digest: Digest) -> list[tuple[PeerDigest, str]]:
    """Returns the best five and the worst three peers whose scores are known, with a colour each.

    Where there are no more than eight in all, each has a colour.
    """
    traced = digest.traced
    if len(traced) > len(SERIES):
        traced = [*traced[:_MARKED], *traced[_MARKED - len(SERIES) :]]
    return list(zip(traced, SERIES, strict=False))


def named_reasons(digest: Digest) -> list[tuple[str, str]]:
    """Returns the eight reasons of failure that came most often, with a colour each."""
    failures = [(word, n) for word, n in digest.reasons.items() if word != Reason.OK]
    failures.sort(key=lambda item: (-item[1], item[0]))
    return [(word, colour) for (word, _), colour in zip(failures, SERIES, strict=False)]


def draw_scores(digest: Digest, width: float, height: float) -> Figure:
    """Draws every peer's score over time.

    The marked ones have their colours, the others grey lines; more than 256 peers have bands: the
    middle half of all scores, the middle nine tenths, and their median.
    """
    figure = figure_of(width, height)
    axes = figure.subplots()
    marked = dict(marked_peers(digest))
    if len(digest.here) > MOST_LINES:
        _draw_bands(axes, digest)
    else:
        others = [peer for peer in digest.traced if peer not in marked]
        most = max(8, _LINE_POINTS // max(1, len(others)))
        for peer in others:
            _draw_line(axes, digest, peer, most, color=MUTED, linewidth=0.7, alpha=0.35)
    worst = [peer for peer, _ in list(marked.items())[_MARKED:]]
    for peer, colour in reversed(marked.items()):
        dashes = (0, (4, 1.6)) if peer in worst and len(digest.traced) > len(SERIES) else "-"
        _draw_line(
            axes, digest, peer, len(peer.steps), color=colour, linewidth=2.0, linestyle=dashes
        )
    _frame(axes, digest, width)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    label_axis(axes, "score")
    return figure


def draw_heat_map(digest: Digest, width: float, height: float) -> Figure:
    """Draws a row of colours for each peer's score over time, the best peer on top."""
    figure = figure_of(width, height)
    axes = figure.subplots()
    rows = even_sample(digest.traced, MOST_ROWS)
    cells = _matrix(digest, rows)
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    image = axes.imshow(
        np.ma.masked_invalid(cells),
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        vmin=min(0.0, low),
        # Scores are shares of 1 as a rule; a subclass may reward on another scale.
        vmax=1.0 if 0.4 < high <= 1.0 or high <= 0.0 else high,
        extent=(-_OPEN_END, len(digest.steps) - _OPEN_END, len(rows) - 0.5, -0.5),
    )
    label_steps(axes, digest.steps, width)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if len(rows) * _ROW_LABEL_HEIGHT <= height:
        axes.set_yticks(range(len(rows)), [str(peer.uid) for peer in rows])
        label_axis(axes, "uid")
    else:
        _label_ranks(axes, len(rows), len(digest.here))
        label_axis(axes, "rank")
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03, aspect=height / 12)
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
    return figure


def draw_failures(digest: Digest, width: float, height: float) -> Figure:
    """Draws how many verdicts of each step were failures, stacked by reason."""
    figure = figure_of(width, height)
    axes = figure.subplots()
    named = named_reasons(digest)
    words = {word for word, _ in named}
    edges, counts = _edges(digest)
    floor = np.zeros(len(counts))
    layers = [([span[word] for span in digest.reasons_of], colour) for word, colour in named]
    rest = [
        sum(n for word, n in span.items() if word != Reason.OK and word not in words)
        for span in digest.reasons_of
    ]
    for numbers, colour in [*layers, (rest, OTHER)]:
        if any(numbers):
            top = floor + np.array(numbers) / counts
            axes.stairs(top, edges, baseline=floor, fill=True, color=colour, linewidth=0)
            floor = top
    _frame(axes, digest, width)
    _count_up(axes, digest)
    label_axis(axes, "failures in a step" + _mean_note(digest))
    return figure


def draw_answers(digest: Digest, width: float, height: float) -> Figure:
    """Draws how many peers each step asked, and how many of these answered."""
    figure = figure_of(width, height)
    axes = figure.subplots()
    edges, counts = _edges(digest)
    asked, answered = np.zeros(len(counts)), np.zeros(len(counts))
    for step in digest.steps:
        asked[digest.spans.index(step.step)] += step.asked
        answered[digest.spans.index(step.step)] += step.answered
    axes.stairs(asked / counts, edges, fill=True, color=OTHER, alpha=0.45, linewidth=0)
    axes.stairs(answered / counts, edges, fill=True, color=SERIES[0], alpha=0.85, linewidth=0)
    _frame(axes, digest, width)
    _count_up(axes, digest)
    label_axis(axes, "peers in a step" + _mean_note(digest))
    return figure


def _mean_note(digest: Digest) -> str:
    return "" if digest.spans.width == 1 else f", mean of {digest.spans.width} steps"


def _edges(digest: Digest) -> tuple[NDArray[Any], NDArray[Any]]:
    """The edges of the spans, in places of steps, and the number of steps in each."""
    count, width = len(digest.steps), digest.spans.width
    edges = np.append(np.arange(len(digest.spans)) * width, count)
    return edges - _OPEN_END, np.diff(edges).astype(float)


def _frame(axes: Axes, digest: Digest, width: float) -> None:
    axes.set_xlim(-_OPEN_END, len(digest.steps) - _OPEN_END)
    label_steps(axes, digest.steps, width)
    axes.yaxis.set_major_formatter(lambda value, _: number_text(value))
    axes.spines["left"].set_visible(False)


def _count_up(axes: Axes, digest: Digest) -> None:
    """A y axis from 0, with whole numbers where each span is one step."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=digest.spans.width == 1))
    axes.set_ylim(bottom=0.0)


def _places(digest: Digest, steps: Sequence[int]) -> NDArray[Any]:
    return np.searchsorted(np.asarray(digest.spans.steps), np.asarray(steps))


def _draw_line(axes: Axes, digest: Digest, peer: PeerDigest, most: int, **style: Any) -> None:
    """A peer's line, thinned to `most` points, drawn on to the last step."""
    pick = np.unique(np.linspace(0, len(peer.steps) - 1, min(most, len(peer.steps))).astype(int))
    places = np.append(_places(digest, peer.steps)[pick], len(digest.steps) - 1)
    scores = np.asarray(peer.scores)[pick]
    scores = np.append(scores, scores[-1])
    if places[0] == places[-1]:
        axes.plot(places[-1:], scores[-1:], "o", gid=f"uid-{peer.uid}", **style)
    else:
        axes.plot(places, scores, gid=f"uid-{peer.uid}", **style)


def _draw_bands(axes: Axes, digest: Digest) -> None:
    cells = _matrix(digest, digest.traced)
    known = np.isfinite(cells).any(axis=0)
    columns = np.flatnonzero(known)
    low, quarter, middle, three, high = np.nanquantile(
        cells[:, known], (0.05, 0.25, 0.5, 0.75, 0.95), axis=0
    )
    places = np.minimum(columns * digest.spans.width, len(digest.steps) - 1)
    axes.fill_between(places, low, high, color=OTHER, alpha=0.25, linewidth=0)
    axes.fill_between(places, quarter, three, color=OTHER, alpha=0.4, linewidth=0)
    axes.plot(places, middle, color=INK, linewidth=1.6)


def _matrix(digest: Digest, peers: Sequence[PeerDigest]) -> NDArray[Any]:
    """Scores of peers by span, NaN before a peer's first; a score holds until it moves."""
    cells = np.full((len(peers), len(digest.spans)), np.nan)
    for row, peer in enumerate(peers):
        spans = _places(digest, peer.steps) // digest.spans.width
        cells[row, spans] = peer.scores
        filled = np.maximum.accumulate(
            np.where(np.isfinite(cells[row]), np.arange(cells.shape[1]), -1)
        )
        cells[row] = np.where(filled >= 0, cells[row, filled], np.nan)
    return cells


def _label_ranks(axes: Axes, rows: int, peers: int) -> None:
    ranks = sorted({1, *(round(peers * part / 4) for part in range(1, 5))})
    places = [(rank - 1) * (rows - 1) / max(1, peers - 1) for rank in ranks]
    axes.set_yticks(places, [f"{rank:,}" for rank in ranks])
