"""Events of servers for the apps above, sent inside the transaction that records them.

Each has `server` and `at`; `server_failed` also has `reason`. Receivers may lock their own rows: the server's row is
written after they have run.
"""

from django.dispatch import Signal

server_running = Signal()
server_failed = Signal()
