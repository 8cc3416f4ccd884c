"""What mypy knows of typed streams: their methods, and the models that these take and give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

# Each comment is the error that mypy must report on its line, and it must report no other.
USES = """
from collections.abc import AsyncIterator
from pydantic import BaseModel
from node import TypedStream, stream_reader, stream_types, stream_writer

class Item(BaseModel):
    text: str

class Header(BaseModel):
    title: str

class Footer(BaseModel):
    count: int

ITEM, HEADER, FOOTER = Item(text=""), Header(title=""), Footer(count=0)
PLAIN = stream_types(Item)
HEADED = stream_types(Item, header_type=Header)
FOOTED = stream_types(Item, footer_type=Footer)
FULL = stream_types(Item, header_type=Header, footer_type=Footer)
stream_types(Item, Header)  # error: call-overload
stream_types(int)  # error: type-var

plain, headed = stream_writer(PLAIN), stream_writer(HEADED)
footed, full = stream_writer(FOOTED), stream_writer(FULL)
data: bytes = plain.yield_item(ITEM)
data = headed.yield_header(HEADER) + headed.yield_item(ITEM)
data = footed.yield_item(ITEM) + footed.yield_footer(FOOTER)
data = full.yield_header(HEADER) + full.yield_item(ITEM) + full.yield_footer(FOOTER)
plain.yield_footer(FOOTER)  # error: attr-defined
plain.yield_header(HEADER)  # error: attr-defined
headed.yield_footer(FOOTER)  # error: attr-defined
footed.yield_header(HEADER)  # error: attr-defined
plain.yield_item(FOOTER)  # error: arg-type
full.yield_item(HEADER)  # error: arg-type
full.yield_header(FOOTER)  # error: arg-type
footed.yield_footer(ITEM)  # error: arg-type
plain.finish()

async def read(source: AsyncIterator[bytes]) -> None:
    item: Item
    header: Header
    footer: Footer
    async for item in stream_reader(PLAIN, source).read_items():
        pass
    reader = stream_reader(FULL, source)
    header = await reader.read_header()
    async for item in reader.read_items():
        pass
    footer = await reader.read_footer()
    footer = await reader.read_header()  # error: assignment
    async for header in reader.read_items():  # error: assignment
        pass
    await stream_reader(PLAIN, source).read_footer()  # error: attr-defined
    await stream_reader(PLAIN, source).read_header()  # error: attr-defined
    await stream_reader(HEADED, source).read_footer()  # error: attr-defined
    await stream_reader(FOOTED, source).read_header()  # error: attr-defined

class Plain(TypedStream[Item]):
    topic: str

class Full(TypedStream[Item, Header, Footer]):
    topic: str

def use(few: Plain, all_of_it: Full) -> None:
    items: list[Item] = few.items + all_of_it.items
    if all_of_it.header is not None and all_of_it.footer is not None:
        title: str = all_of_it.header.title
        count: int = all_of_it.footer.count
        count = all_of_it.header.title  # error: assignment
    all_of_it.items[0].count  # error: attr-defined
    nothing: None = few.footer
"""


def test_mypy_knows_the_methods_and_models_of_every_stream(tmp_path: Path) -> None:
    source = tmp_path / "uses.py"
    source.write_text(USES)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--hide-error-context"]
    done = subprocess.run(
        [*command, "--cache-dir", tmp_path / "cache", source],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"uses\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    expected = [
        (str(number), code)
        for number, line in enumerate(USES.splitlines(), 1)
        for code in re.findall(r"# error: ([\w-]+)", line)
    ]
    assert sorted(found) == sorted(expected), done.stdout + done.stderr
    assert done.stdout.count(": error: ") == len(expected)
