"""The data that `manage.py seed` puts into a new shop. Safe to run again."""
