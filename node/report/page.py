"""The page: one HTML file that asks nobody for anything.

Its policy forbids every request, and every script but the one of ours, which it names by digest:
should a peer's text ever come through as markup, a browser still would not act on it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from xml.etree import ElementTree as ET

import numpy as np

from node.version import VERSION

from .axes import time_text
from .digest import Digest
from .markup import element, raw, written
from .sections import sections_of

__all__ = ["page_of"]


def page_of(digest: Digest, now_ns: int) -> bytes:
    """Returns the page.

    Args:
        digest: What to tell.
        now_ns: When it is told, Unix nanoseconds.
    """
    script = resources.files(__package__).joinpath("table.js").read_text("utf-8")
    made = f"Made by Ganglion {VERSION} at {time_text(now_ns)}. All times are UTC."
    body = element(
        "body",
        "",
        _header(digest),
        element("main", "", *sections_of(digest)),
        element("footer", "", made),
        raw("script", script),
    )
    return written(element("html", {"lang": "en"}, _head(digest, script), body))


def _head(digest: Digest, script: str) -> ET.Element:
    style = resources.files(__package__).joinpath("style.css").read_text("utf-8")
    identity = digest.identity
    return element(
        "head",
        "",
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(script)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", "", f"Validator report: netuid {identity.netuid} of {identity.network}"),
        # Without one, a browser asks the server that the file lies on for an icon.
        element("link", {"rel": "icon", "href": "data:,"}),
        raw("style", style),
    )


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _header(digest: Digest) -> ET.Element:
    identity = digest.identity
    return element(
        "header",
        "",
        element("h1", "", "Validator report"),
        element(
            "p",
            "subject muted",
            "netuid ",
            element("b", "", str(identity.netuid)),
            " of ",
            element("b", "", element("bdi", "", identity.network)),
            " · validator ",
            element("span", "hotkey", identity.hotkey),
        ),
        element("dl", "tiles", *(_tile(*tile) for tile in _tiles(digest))),
    )


def _tile(name: str, value: str, note: str) -> ET.Element:
    return element(
        "div",
        "",
        element("dt", "", name),
        element("dd", "", value, element("small", "", note or "\N{NO-BREAK SPACE}")),
    )


def _tiles(digest: Digest) -> list[tuple[str, str, str]]:
    steps, here = digest.steps, digest.here
    first_bytes = digest.first_bytes_s()
    left = len(digest.peers) - len(here)
    settings = digest.settings
    return [
        ("steps", f"{len(steps):,}", f"{steps[0].step:,} to {steps[-1].step:,}" if steps else ""),
        _span_tile(digest),
        ("peers", f"{len(here):,}", f"and {left:,} that left" if left else "with a score"),
        (
            "answered",
            f"{digest.answered / digest.asked:.1%}" if digest.asked else "-",
            f"{digest.answered:,} of {digest.asked:,} requests",
        ),
        (
            "median first byte",
            f"{np.median(first_bytes) * 1000:,.0f} ms" if first_bytes else "-",
            f"{len(first_bytes):,} replies" if first_bytes else "",
        ),
        (
            "weights set",
            {0: "never", 1: "once"}.get(len(settings), f"{len(settings)} times"),
            f"last at block {settings[-1].block:,}" if settings else "",
        ),
    ]


def _span_tile(digest: Digest) -> tuple[str, str, str]:
    if not digest.steps:
        return "time", "-", ""
    first_ns, last_ns = digest.steps[0].started_ns, digest.steps[-1].ended_ns
    return "time", _duration((last_ns - first_ns) / 1e9), f"until {time_text(last_ns)}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{max(0.0, seconds):.1f} s"
