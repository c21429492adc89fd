"""Billing runs: a shop bills itself, in batches of statements over ranges of organizations."""
