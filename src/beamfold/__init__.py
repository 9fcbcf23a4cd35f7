"""Hybrid precoders for joint communications and sensing; see README.md for a first example."""

__version__ = "0.1.0"
