"""The page in a real browser: its script runs, nobody else's does, and it has both schemes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from node.neuron.state import Event, ScoreRow, Step, ValidatorState

from .pages import Page, report_of
from .states import VALIDATOR, write_state

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def browse(home: Path, page: Path, *flags: str) -> str:
    """Opens a page without a window; returns what the browser wrote."""
    own = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root with one
    command = [
        str(BROWSER), "--headless", "--disable-gpu", f"--user-data-dir={home / 'profile'}",
        "--disable-dev-shm-usage", "--hide-scrollbars", *own, *flags, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, check=True, cwd=home
    ).stdout


def colours(home: Path, page: Path, *flags: str) -> tuple[float, int]:
    """How light a picture of the page is, 0 to 1, and how many colours it has."""
    from matplotlib.image import imread

    picture = home / "page.png"
    browse(home, page, f"--screenshot={picture}", "--window-size=1400,2400", *flags)
    pixels = np.asarray(imread(picture))[..., :3]
    assert pixels.shape == (2400, 1400, 3)
    coarse = (pixels * 31).astype(np.int64) @ np.array([1024, 32, 1])
    return float(np.median(pixels)), len(np.unique(coarse))


def test_it_is_drawn_in_light_and_in_dark(tmp_path: Path) -> None:
    write_state(tmp_path / "s.db", peers=30, steps=40, sample=20)
    page = tmp_path / "report.html"
    page.write_text(report_of(tmp_path / "s.db"))
    light, light_colours = colours(tmp_path, page, "--blink-settings=preferredColorScheme=1")
    dark, dark_colours = colours(tmp_path, page, "--blink-settings=preferredColorScheme=0")
    assert light > 0.9
    assert dark < 0.15
    assert min(light_colours, dark_colours) > 200  # of the plots, the map of scores above all


def test_its_own_script_runs_and_a_peers_does_not(tmp_path: Path, listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    bad = f"</td></script><script>document.title='owned'</script><img src={url} onerror=x()>"
    path, page = tmp_path / "s.db", tmp_path / "report.html"
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
        step = Step(1, 1, 2, 3, 1, 0, bad)
        state.save_step(step, [Event(1, 0, bad, 0.0, bad, 500)], [ScoreRow(bad, 0, 0.1, 1, 1)])
    text = report_of(path)
    # As if a text had come through as markup after all.
    inner = text.replace(
        "</main>", f"{bad}<link rel=stylesheet href={url}><object data={url}></object></main>"
    )
    page.write_text(inner)
    shown = Page(browse(tmp_path, page, "--dump-dom", "--virtual-time-budget=3000"))
    (find,) = [attrs for tag, attrs in shown.tags if tag == "input"]
    assert "hidden" not in find, "the page's own script shows the field"
    assert shown.text("title").startswith("Validator report")
    with pytest.raises(BlockingIOError):
        listener.accept()
