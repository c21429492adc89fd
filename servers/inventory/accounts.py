"""What a provider says about our users' accounts there."""

from uuid import UUID

from django.db import connection

from servers.inventory.merge import Counts

_ACCOUNTS = """
    UPDATE servers_panelaccount AS account
    SET username = listed.username, email = listed.email, is_panel_admin = listed.is_admin
    FROM sync_accounts AS listed
    WHERE account.provider_id = %s AND account.ref = listed.ref
        AND (account.username, account.email, account.is_panel_admin)
            <> (listed.username, listed.email, listed.is_admin)"""


def update_accounts(provider_id: UUID) -> Counts:
    """Copy names, addresses and rights of the accounts that we know; an account of nobody here stays unknown."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS, [provider_id])
        changed = cursor.rowcount
        cursor.execute("SELECT count(*) FROM sync_accounts")
        return {"read": int(cursor.fetchone()[0]), "added": 0, "changed": changed, "removed": 0}
