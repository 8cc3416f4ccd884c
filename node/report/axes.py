"""What the figures' axes have in common: steps with their time, milliseconds, shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.neuron.state import Step

from .svg import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["label_axis", "label_shares", "label_steps", "number_text", "time_text"]

_DAY_NS = 86_400 * 10**9
_MOST_WIDE_STEPS = 20
_TICK_WIDTH = 100  # pixels that a step and its time take


def time_text(ns: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """Returns a time in UTC; "-" for one that no calendar has."""
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC).strftime(form)
    except (OverflowError, OSError, ValueError):
        return "-"


def number_text(value: float) -> str:
    """Returns a number with commas between thousands and no more digits than it needs."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"


def label_steps(axes: Axes, steps: Sequence[Step], width: float) -> None:
    """Marks steps along the x axis, each with the time when it began below its number.

    Args:
        axes: Whose x axis counts places in `steps`, from 0.
        steps: One or more.
        width: Pixels of the figure.
    """
    most = max(2, int(width / _TICK_WIDTH))
    if len(steps) > _MOST_WIDE_STEPS:
        places = [round((len(steps) - 1) * part / (most - 1)) for part in range(most)]
    else:
        places = list(range(0, len(steps), math.ceil(len(steps) / most)))
    is_long = steps[-1].started_ns - steps[0].started_ns > _DAY_NS
    form = "%b %d" if is_long else "%H:%M"
    texts = [
        f"{steps[place].step:,}\n{time_text(steps[place].started_ns, form)}" for place in places
    ]
    axes.set_xticks(places, texts)
    axes.grid(visible=False, axis="x")
    if len(steps) > _MOST_WIDE_STEPS:  # else there is room beside the first and the last step
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[-1].set_horizontalalignment("right")


def label_axis(axes: Axes, text: str) -> None:
    """Says above the y axis what it shows."""
    axes.set_title(text, loc="left", color=MUTED, pad=8)


def label_shares(axes: Axes) -> None:
    """Shows the y axis from 0 to 100 %."""
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], ["", "25", "50", "75", "100 %"])
