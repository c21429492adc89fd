"""Events of servers for the apps above, sent inside the transaction that records them.

Each has `server_ids` and `at`; `servers_failed` also has `reason`, and `servers_renamed` the new `name`. Receivers may
lock their own rows: the servers' rows are written after they have run.
"""

from django.dispatch import Signal

servers_running = Signal()  # for the first time, or again after they were suspended or had failed
# Their provider has given them the size that was requested of it.
servers_resized = Signal()
servers_failed = Signal()
servers_renamed = Signal()
disks_filling = Signal()  # nearly full; once until there is room again
servers_deleted = Signal()  # their deletion was asked for; sent before they are locked
# Staff must look: a provider misses many servers, as these findings say (`finding_ids`, `at`).
providers_suspected = Signal()
# Of accounts by which Hytale servers are signed in (`account_ids`, `at`): staff have to sign in, will have to, or few
# sessions are left.
hytale_sign_ins_needed = Signal()
hytale_sign_ins_ending = Signal()
hytale_slots_filling = Signal()
