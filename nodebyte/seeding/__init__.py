"""Filling a new shop: what `manage.py seed` does, safe to run again."""
