"""The application API: what an administrator provisions with."""
