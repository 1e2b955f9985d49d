"""Runs things: config, roles, streams, indexes, search and the command line."""
