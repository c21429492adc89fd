"""Rows of Hytale's tables, of waitlists, moves and keys that PostgreSQL refuses; see `tests.core.constraints`."""

from typing import Any

from tests.core.constraints import ANY

ONE, NOW = "00000000-0000-7000-8000-000000000001", "2026-03-01 12:00Z"
CHECKS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "accounts_sshkey": {
        "accounts_ssh_key_is_one_line": [
            {"public_key": "ssh-rsa AAAA\nssh-rsa BBBB"},
            {"public_key": "no-pty ssh-rsa AA"},
        ]
    },
    "orders_waitlistentry": {
        "orders_waitlist_with_reservation_iff_offered": [
            {"status": "waiting", "offered_at": NOW},
            {"status": "offered", "offered_at": NOW, "expires_at": NOW},
        ]
    },
    "orders_servertransfer": {
        "orders_transfer_taken_by_when_accepted": [
            {"status": "accepted", "ended_at": NOW, "server_id": ONE},
            {"status": "open", "ended_at": NOW},
            {"status": "declined"},
        ],
        "orders_transfer_server_iff_accepted": [
            {"status": "accepted", "ended_at": NOW, "new_organization_id": ONE},
            {"server_id": ONE},
        ],
    },
    "servers_servermove": {"servers_move_ends_once": [{"moved_at": NOW, "canceled_at": NOW}]},
    "servers_hytaleaccount": {
        "servers_hytale_account_has_slots": [{"slots": 0}],
        "servers_hytale_account_token_iff_signed_in": [
            {"state": "signed_in"},
            {"state": "needed", "refresh_token": "x", "refreshed_at": NOW},
        ],
    },
    "servers_hytalesession": {
        "servers_hytalesession_lease_iff_running": [{"lease_until": NOW}, {"state": "running"}],
        "servers_hytale_session_ended_at_iff_ended": [{"ended_at": NOW}, {"status": "ended"}],
        "servers_hytale_session_token_while_open": [
            {"status": "open", "expires_at": NOW},
            {"status": "open", "session_token": "x"},
            {"status": "ending"},
            *({"status": status, "session_token": "x"} for status in ("requested", "lapsing")),
            {"status": "ended", "ended_at": NOW, "identity_token": "x"},
        ],
    },
    "servers_hytalesignin": {
        "servers_hytalesignin_lease_iff_running": [{"lease_until": NOW}, {"state": "running"}],
        "servers_hytale_sign_in_outcome_known": [{"outcome": "x"}],
    },
}
ONCE: dict[str, dict[str, dict[str, Any]]] = {
    "accounts_sshkey": {
        "accounts_ssh_key_once": {"user_id": ONE, "fingerprint": "x", "public_key": "ssh-rsa AAAA"},
    },
    "orders_waitlistentry": {
        "orders_waitlist_once": {"organization_id": ONE, "plan_id": ONE, "region_id": ONE, "status": "waiting"},
        "orders_waitlistentry_reservation_id_key": {
            "reservation_id": ONE,
            "status": "offered",
            "offered_at": NOW,
            "expires_at": NOW,
            "plan_id": ANY,
        },
    },
    "orders_servertransfer": {"orders_transfer_one_open": {"item_id": ONE, "status": "open"}},
    "servers_servermove": {
        "servers_move_one_open": {"server_id": ONE},
        "servers_servermove_reservation_id_key": {"reservation_id": ONE, "server_id": ANY},
    },
    "servers_hytaleaccount": {"servers_hytaleaccount_name_key": {"name": "x"}},
    "servers_hytalesignin": {"servers_hytale_one_open_sign_in": {"account_id": ONE, "outcome": ""}},
}
