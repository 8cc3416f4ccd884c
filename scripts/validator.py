#!/usr/bin/env python3
"""The default validator, as `ganglion validator` starts it."""

from __future__ import annotations

import sys

from node.cli import main

if __name__ == "__main__":
    sys.exit(main(["validator", *sys.argv[1:]]))
