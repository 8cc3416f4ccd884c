#!/usr/bin/env python3
"""The default miner, as `ganglion miner` starts it."""

from __future__ import annotations

import sys

from node.cli import main

if __name__ == "__main__":
    sys.exit(main(["miner", *sys.argv[1:]]))
