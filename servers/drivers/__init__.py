"""Drivers of providers: one protocol, one package for each vendor."""
