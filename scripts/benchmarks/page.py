"""Putting the figures of a run into a page, between the marks that stand there for them.

`<!-- bench:NAME -->` and `<!-- /bench:NAME -->` enclose what is replaced; NAME is `machine`,
`targets` or `figures`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .contenders.catalogue import CONTENDERS
from .document import figures_in
from .table import markdown_table

__all__ = ["fill_page"]

_MARKED = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench:\2 -->)", re.DOTALL)


def fill_page(page: str, document: Mapping[str, Any]) -> str:
    """Return a page with the figures of a run.

    Args:
        page: The page as it is.
        document: What the run wrote.

    Raises:
        ValueError: The page has no marks, or one that is not known.
    """

    def replace(match: re.Match[str]) -> str:
        if match[2] not in PARTS:
            raise ValueError(f"the page has the mark {match[2]!r}; known are {', '.join(PARTS)}")
        return f"{match[1]}{PARTS[match[2]](document)}{match[3]}"

    filled, count = _MARKED.subn(replace, page)
    if not count:
        raise ValueError("the page has no marks such as <!-- bench:targets -->")
    return filled


def _machine(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    rows = {
        "processor": f"{machine['processor']}, {machine['processors']} of them",
        "memory": f"{machine['memory_gib']:g} GiB",
        "system": machine["system"],
        "Python": machine["python"],
        "load before the run": f"{machine['load_before']:g}",
        "commit": f"`{document['commit']}`",
        "run": f"{document['started']}, {document['rounds']} rounds, {document['seconds']:,.0f} s",
    }
    for name, versions in document["versions"].items():
        packages = [f"{package} {number}" for package, number in versions.items()]
        rows[CONTENDERS[name].title] = ", ".join(packages)
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    notes = [f"\n{note}." for note in document["notes"]]
    return "\n".join(["| | |", "| --- | --- |", *lines, *notes]) + "\n"


def _targets(document: Mapping[str, Any]) -> str:
    return markdown_table([figure for figure in figures_in(document) if figure.target])


def _figures(document: Mapping[str, Any]) -> str:
    return markdown_table([figure for figure in figures_in(document) if not figure.target])


PARTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "machine": _machine,
    "targets": _targets,
    "figures": _figures,
}
