"""Runs things: config, roles, streams, indexes, search and the command line."""

__version__ = "0.1.0"
