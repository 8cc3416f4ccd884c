"""Draws how peers did: first byte by peer, and chunks over time.

matplotlib is an extra, and is imported only here, when something is to be drawn.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import ConfigError

from .replies import Reply

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["arrivals_of", "check_can_plot", "draw"]

_MOST_LINES = 8  # more lines than that in one plot can't be told apart
_MOST_LABELS = 100
_MOST_INCHES = 40.0
_DOTS_PER_INCH = 120
_BINS = 80
_LOG_RATIO = 30.0  # from where on the shortest bars could not be seen
# Okabe and Ito's colours, which people who see few colours can tell apart.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#7F3C8D", "#8C8C00",
)  # fmt: skip
_GOOD, _BAD = "#0072B2", "#D55E00"


def check_can_plot(path: Path) -> None:
    """Check that a plot could be drawn to a file.

    Raises:
        ConfigError: matplotlib is not installed, or the file's folder is not there.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install ganglion[plot]") from error
    if not path.parent.is_dir():
        raise ConfigError(f"--plot can't write to {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ConfigError(f"--plot can't write to {path}: it is a folder")


def draw(replies: Sequence[Reply], path: Path) -> None:
    """Draw both plots to a file, PNG or SVG by its suffix.

    Args:
        replies: Those that are over, one or more.
        path: The file; one that is there is replaced.

    Raises:
        ConfigError: It can't be written.
    """
    import matplotlib as mpl

    image = io.BytesIO()
    # Text stays text in an SVG, so that it can be searched.
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 9}):
        figure = _figure(_sorted(replies))
        figure.savefig(image, format=path.suffix[1:].lower())
    try:
        path.write_bytes(image.getvalue())
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error


def arrivals_of(reply: Reply) -> list[float]:
    """Return when each chunk came, in seconds since the call began; of the first 65,537."""
    timing = reply.timing
    if timing.first_byte_s is None:
        return []
    return list(accumulate(timing.gaps, initial=timing.first_byte_s))


def _sorted(replies: Sequence[Reply]) -> list[Reply]:
    """The quickest first byte first; those without one last."""
    return sorted(
        replies,
        key=lambda reply: (reply.timing.first_byte_s is None, reply.timing.first_byte_s or 0.0),
    )


def _figure(replies: Sequence[Reply]) -> Figure:
    from matplotlib.figure import Figure

    height = min(_MOST_INCHES, max(3.6, 1.4 + 0.17 * len(replies)))
    # Without pyplot there is no window and no state outside of this figure.
    figure = Figure(figsize=(13.0, height), dpi=_DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    _draw_first_bytes(left, replies)
    if len(replies) <= _MOST_LINES:
        _draw_lines(right, replies)
    else:
        _draw_rows(figure, right, replies)
    good = sum(reply.is_good for reply in replies)
    figure.suptitle(f"{good} of {len(replies)} answered whole")
    return figure


def _draw_first_bytes(axes: Axes, replies: Sequence[Reply]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    times = [(reply.timing.first_byte_s or 0.0) * 1000 for reply in replies]
    known = [ms for ms in times if ms > 0]
    colours = [_GOOD if reply.is_good else _BAD for reply in replies]
    axes.barh(range(len(replies)), times, color=colours, height=0.75)
    axes.margins(x=0.2)  # for the texts at the ends of the bars
    scale = ""
    if known and max(known) > _LOG_RATIO * min(known):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlim(left=10.0 ** math.floor(math.log10(min(known))))
        scale = ", logarithmic"
    else:
        axes.set_xlim(left=0.0)
    for row, (reply, ms) in enumerate(zip(replies, times, strict=True)):
        texts = [f"{ms:.1f}"] if ms else []
        texts += [] if reply.is_good else [_failure(reply)]
        axes.annotate(
            ", ".join(texts),
            (ms, row) if ms else (axes.get_xlim()[0], row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color="black" if reply.is_good else _BAD,
        )
    _label_rows(axes, replies)
    axes.set_xlabel(f"first byte, ms{scale}")
    axes.set_title("First byte by peer", fontsize=10)


def _draw_lines(axes: Axes, replies: Sequence[Reply]) -> None:
    for number, reply in enumerate(replies):
        times = arrivals_of(reply)
        if not times:
            continue
        label = _label(reply) if reply.is_good else f"{_label(reply)}, {_failure(reply)}"
        counts = range(len(times) + 1)
        axes.step(
            [times[0], *times], counts, where="post", label=label, linewidth=1.6,
            color=_COLOURS[number % len(_COLOURS)],
        )  # fmt: skip
        axes.plot(
            times[-1], len(times), "o" if reply.is_good else "X", markersize=5,
            color=_COLOURS[number % len(_COLOURS)],
        )  # fmt: skip
    if axes.has_data():
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the call began")
    axes.set_ylabel("chunks")
    axes.grid(alpha=0.3)
    axes.set_title("Chunks over time", fontsize=10)


def _draw_rows(figure: Figure, axes: Axes, replies: Sequence[Reply]) -> None:
    """A row of cells for each peer; the more chunks came in a cell's time the darker it is."""
    import numpy as np
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import StrMethodFormatter

    arrivals = [arrivals_of(reply) for reply in replies]
    end_s = max((times[-1] for times in arrivals if times), default=0.0) or 1.0
    edges = np.linspace(0.0, end_s, _BINS + 1)
    counts = np.array([np.histogram(times, edges)[0] for times in arrivals], dtype=float)
    most = max(2.0, float(counts.max()))
    cells = axes.pcolormesh(
        edges,
        np.arange(len(replies) + 1) - 0.5,
        np.ma.masked_equal(counts, 0.0),
        norm=LogNorm(1.0, most),
        cmap="viridis_r",
    )
    axes.hlines(np.arange(1, len(replies)) - 0.5, 0.0, end_s, color="white", linewidth=1.5)
    bar = figure.colorbar(cells, ax=axes, pad=0.01, fraction=0.03, aspect=40)
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.set_label(f"chunks in {end_s / _BINS * 1000:.3g} ms, logarithmic")
    _label_rows(axes, replies)
    axes.set_xlabel("seconds since the call began")
    axes.set_title("Chunks over time, same order", fontsize=10)


def _label_rows(axes: Axes, replies: Sequence[Reply]) -> None:
    step = -(-len(replies) // _MOST_LABELS)
    rows = range(0, len(replies), step)
    axes.set_yticks(rows, [_label(replies[row]) for row in rows], fontsize=7.5)
    axes.set_ylim(len(replies) - 0.4, -0.6)
    for row, tick in zip(rows, axes.get_yticklabels(), strict=True):
        tick.set_color("black" if replies[row].is_good else _BAD)
    axes.spines[["top", "right"]].set_visible(False)


def _label(reply: Reply) -> str:
    return reply.target.label


def _failure(reply: Reply) -> str:
    return f"failed {reply.status}"
