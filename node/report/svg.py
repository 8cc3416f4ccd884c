"""A matplotlib figure as an `svg` element that takes its colours and its font from the page.

A plot is drawn with stand-ins for colours, one for each that the page names, and here each becomes
a reference to that name. So one drawing serves a light and a dark page.

Rule 1: no text of a peer or a subclass goes into a figure. What words there are stand beside it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "OTHER",
    "SERIES",
    "figure_of",
    "page_settings",
    "svg_of",
    "variable_of",
]

INK = "#000001"
MUTED = "#000002"
GRID = "#000003"
OTHER = "#000004"
SERIES = tuple(f"#0000{number:02x}" for number in range(16, 24))
"""Eight colours that people who see few colours can tell apart."""

_TEXT_PX = 12.0
_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", OTHER: "other"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES)
}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_COLOUR = re.compile(r"#0000[01][0-9a-f]\b")
_FONT = re.compile(r"font: ([\d.]+)px [^;]*")
_DECIMALS = re.compile(r"-?\d+\.\d+")
_PAGE_SETTINGS = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "svg.image_inline": True,
    "svg.hashsalt": "ganglion",  # the same ids for the same figure
    "font.size": _TEXT_PX,
    "axes.titlesize": _TEXT_PX,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "path.simplify": True,
}


def figure_of(width: float, height: float) -> Figure:
    """Returns an empty figure of so many pixels of the page."""
    from matplotlib.figure import Figure

    # Without pyplot there is no window and no state outside of this figure.
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    figure.patch.set_visible(False)
    return figure


def page_settings() -> dict[Any, Any]:
    """Returns the settings of matplotlib with which a figure is drawn and written."""
    return dict(_PAGE_SETTINGS)


def variable_of(colour: str) -> str:
    """Returns the page's name for a stand-in, as a style has it."""
    return f"var(--{_NAMES[colour]})"


def svg_of(
    figure: Figure, name: str, label: str, *, titles: Mapping[str, str] = MappingProxyType({})
) -> ET.Element:
    """Returns the element.

    Args:
        figure: Drawn under `page_settings`.
        name: Stands before every id in it, so that two figures in one page have none in common.
        label: What a screen reader says of it.
        titles: What is shown on hover, by the `gid` of what it is shown for.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None}, transparent=True)
    # It was written here a line above, and by nobody else.
    root = ET.fromstring(written.getvalue())  # noqa: S314
    _drop(root, {f"{_SVG}metadata", f"{_SVG}style"})
    for element in list(root.iter()):
        if title := titles.get(element.get("id", "")):
            ET.SubElement(element, "title").text = title
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = {
            key.removeprefix("{http://www.w3.org/1999/xlink}"): _fit(key, value, name)
            for key, value in element.attrib.items()
        }
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    return root


def _drop(element: ET.Element, tags: set[str]) -> None:
    for child in list(element):
        if child.tag in tags:
            element.remove(child)
        else:
            _drop(child, tags)


def _fit(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == _LINK and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key in {"d", "x", "y"}:
        return _DECIMALS.sub(_rounded, value)
    if key in {"style", "clip-path"}:
        value = _COLOUR.sub(lambda found: variable_of(found[0]), value)
        value = _FONT.sub(r"font-size: \1px", value)
        return value.replace("url(#", f"url(#{name}-")
    return value


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")
