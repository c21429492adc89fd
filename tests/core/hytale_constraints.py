"""Rows of Hytale's accounts, sign-ins and sessions that PostgreSQL refuses; see `tests.core.constraints`."""

from typing import Any

ONE, NOW = "00000000-0000-7000-8000-000000000001", "2026-03-01 12:00Z"
CHECKS: dict[str, dict[str, list[dict[str, Any]]]] = {
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
    "servers_hytaleaccount": {"servers_hytaleaccount_name_key": {"name": "x"}},
    "servers_hytalesignin": {"servers_hytale_one_open_sign_in": {"account_id": ONE, "outcome": ""}},
}
