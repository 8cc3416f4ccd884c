"""Connections do the same where aiohttp's parser is the one in Python, as on PyPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_connections_are_the_same_without_a_parser_in_c() -> None:
    tests = [str(HERE / name) for name in ("test_connection.py", "test_session.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=HERE.parent.parent,
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
