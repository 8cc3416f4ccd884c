"""Figures as a table, in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from .figures import Figure

__all__ = ["figure_table", "markdown_table", "shown"]

_HEADINGS = ("figure", "median", "lowest - highest", "target", "met")


def shown(value: float, unit: str) -> str:
    """Return a value with its unit, to three digits."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def figure_table(title: str, figures: Iterable[Figure]) -> Table:
    """Return a table for the terminal."""
    table = Table(title=title, title_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for figure in figures:
        style = "red" if figure.holds is False else "green" if figure.holds else ""
        table.add_row(*_cells(figure), style=style)
    return table


def markdown_table(figures: Sequence[Figure]) -> str:
    """Return a table for a page."""
    rules = ("---", "---:", "---:", "---:", "---:")
    rows = [_HEADINGS, rules, *(_cells(figure) for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    low, high = shown(figure.low, ""), shown(figure.high, "")
    return (
        figure.name,
        shown(figure.median, figure.unit),
        f"{low} - {high}" if len(figure.values) > 1 else "",
        f"{figure.target} {figure.unit}".strip() if figure.target else "",
        {True: "yes", False: "NO", None: ""}[figure.holds],
    )
