"""Streams of every kind, whole or not, leave no task and no socket behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_no_kind_of_stream_leaves_a_task_or_a_file_open() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.functional.leak_program"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for mode, report in json.loads(done.stdout).items():
        assert report["after"] == report["before"], mode
        for kind, (once, five_times) in report["kinds"].items():
            assert five_times == once, f"{mode}: {kind}"
        assert len(report["kinds"]) >= 15
