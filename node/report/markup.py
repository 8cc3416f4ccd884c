"""Elements of the page. Text and attributes are escaped when the tree is written, all of them.

Rule 1: text of others comes in by `element` as a child or an attribute, never as markup.
Rule 2: what a browser would not show of it is shown by its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from node.neuron.terminal_text import one_line

__all__ = ["Child", "element", "raw", "written"]

Child = ET.Element | str | None
_HIDDEN = {code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F),
           *range(0x2066, 0x206A), 0xFEFF, *range(0xD800, 0xE000))}  # fmt: skip


def element(
    tag: str, attributes: Mapping[str, str | None] | str = "", *children: Child
) -> ET.Element:
    """Returns an element.

    Args:
        tag: Its name.
        attributes: By name, or its class alone; None and an empty class are left out.
        children: Elements and texts in order; None is left out.
    """
    named = {"class": attributes} if isinstance(attributes, str) else attributes
    made = ET.Element(tag)
    for name, value in named.items():
        if value is not None and (value or name != "class"):
            made.set(name, _shown(value))
    last: ET.Element | None = None
    for child in children:
        if isinstance(child, ET.Element):
            made.append(child)
            last = child
        elif child and last is None:
            made.text = (made.text or "") + _shown(child)
        elif child and last is not None:
            last.tail = (last.tail or "") + _shown(child)
    return made


def raw(tag: str, text: str) -> ET.Element:
    """Returns a `script` or `style` with text of our own, which is written as it is."""
    made = ET.Element(tag)
    made.text = text
    return made


def written(root: ET.Element) -> bytes:
    """Returns the document."""
    text = ET.tostring(root, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n".encode()


def _shown(text: str) -> str:
    return one_line(text).translate(_HIDDEN)
