"""A run as a picture: how we compare round by round, and what everybody did in absolute terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from .contenders.catalogue import CONTENDERS
from .document import figures_in
from .figures import Figure

__all__ = ["draw"]

COLOURS = {
    "raw": "#8a8f98",
    "ganglion": "#1f6feb",
    "receipted": "#79b0ff",
    "grpc": "#2da44e",
    "sdk": "#d1570f",
}
COMPARED = {
    "unary.of_raw": "requests,\none by one",
    "unary_many.of_raw": "requests,\nmany at once",
    "tokens.of_raw": "tokens,\nas they go",
    "ticks.of_raw": "tokens,\ntick by tick",
    "blocks.of_raw": "large reply,\nthroughput",
    "first_token.of_raw": "time to\nfirst token",
}
ABSOLUTE = {
    "unary": "requests a second,\none by one",
    "unary_many": "requests a second,\nmany at once",
    "tokens": "tokens a second,\nas they go",
}


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Draw a run.

    Args:
        document: What it wrote.
        path: Where the picture goes; its ending, such as .png or .svg, is the format.

    Raises:
        ValueError: The format is unknown, or the run has nothing to draw.
    """
    figures = {figure.key: figure for figure in figures_in(document)}
    compared = [figures[key] for key in COMPARED if key in figures]
    measures = [name for name in ABSOLUTE if f"{name}.ganglion_per_s" in figures]
    if not compared and not measures:
        raise ValueError("this run has nothing to draw; it needs unary, tokens or blocks")
    # The same run gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "ganglion", "font.size": 9}):
        canvas = Canvas(figsize=(10, 7.5), layout="constrained")
        rows = bool(compared) + bool(measures)
        areas = canvas.subfigures(rows, 1, squeeze=False)[:, 0]
        if compared:
            _draw_compared(areas[0].subplots(), compared)
        if measures:
            _draw_absolute(
                areas[-1].subplots(1, len(measures), squeeze=False, sharey=True)[0],
                measures,
                figures,
            )
        dated = {"Date": None} if path.suffix == ".svg" else None
        canvas.savefig(path, dpi=150, metadata=dated)


def _draw_compared(axes: Axes, compared: Sequence[Figure]) -> None:
    """Draw a dot for each round, a line at the median, and the target."""
    for place, figure in enumerate(compared):
        axes.plot([place] * len(figure.values), figure.values, "o", color=COLOURS["ganglion"],
                  alpha=0.35, markersize=5)  # fmt: skip
        axes.hlines(figure.median, place - 0.22, place + 0.22, COLOURS["ganglion"], lw=2.5)
        axes.annotate(f"{figure.median:.2f}", (place + 0.26, figure.median), va="center")
        if figure.target is not None:
            axes.hlines(figure.target.bound, place - 0.3, place + 0.3, "#c11", "dotted", lw=1.5)
            axes.annotate(f"{figure.target}", (place - 0.3, figure.target.bound), va="bottom",
                          color="#c11", fontsize=8)  # fmt: skip
    axes.axhline(1.0, color=COLOURS["raw"], lw=0.8)
    axes.set_xticks(range(len(compared)), [COMPARED[figure.key] for figure in compared])
    axes.set_xlim(-0.7, len(compared) - 0.3)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("of raw aiohttp, unsigned")
    axes.set_title("Ganglion, signed and verified, beside raw aiohttp: each round, median, target")
    _unframe(axes)


def _draw_absolute(
    places: Sequence[Axes], measures: Sequence[str], figures: Mapping[str, Figure]
) -> None:
    """Draw a bar for each contender, and the range of its rounds."""
    names = [each for each in COLOURS if f"{measures[0]}.{each}_per_s" in figures]
    for axes, measure in zip(places, measures, strict=True):
        for place, name in enumerate(names):
            if figure := figures.get(f"{measure}.{name}_per_s"):
                _draw_bar(axes, place, figure, COLOURS[name])
        axes.set_yticks(range(len(names)), [CONTENDERS[name].title for name in names])
        axes.set_title(ABSOLUTE[measure])
        axes.margins(x=0.25)
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        _unframe(axes)
    places[0].invert_yaxis()


def _draw_bar(axes: Axes, place: int, figure: Figure, colour: str) -> None:
    axes.barh(place, figure.median, color=colour)
    axes.hlines(place, figure.low, figure.high, "#444", lw=1)
    axes.annotate(f"{figure.median:,.0f}", (figure.high, place), xytext=(4, 0),
                  textcoords="offset points", va="center", fontsize=8)  # fmt: skip


def _unframe(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
