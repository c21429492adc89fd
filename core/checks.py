"""Checks at boot."""
