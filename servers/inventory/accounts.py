"""What a provider says about our users' accounts there."""

from uuid import UUID

from django.db import connection

_ACCOUNTS = """
    UPDATE servers_panelaccount AS account
    SET username = listed.username, email = listed.email, is_panel_admin = listed.is_admin
    FROM sync_accounts AS listed
    WHERE account.provider_id = %s AND account.ref = listed.ref
        AND (account.username, account.email, account.is_panel_admin)
            <> (listed.username, listed.email, listed.is_admin)"""


def update_accounts(provider_id: UUID) -> None:
    """Copy names, addresses and rights of our users' accounts."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS, [provider_id])
