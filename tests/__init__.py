"""Tests of Ganglion, laid out as `node/` and `protocols/` are."""
