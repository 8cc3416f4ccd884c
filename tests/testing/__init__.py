"""Tests of node.testing."""
