"""The demo: the whole shop on stand-ins, and one server bought over HTTP. Imports no app and nothing of Django."""
