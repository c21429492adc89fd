"""Rows that PostgreSQL refuses, by the constraint that refuses them, for every table of ours.

Columns of positive numbers and of choices are not here: the models say which they are (test_constraints.py).
"""

from typing import Any

type Row = dict[str, Any]

ANY = object()  # another value in each row
ONE, TWO = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
NOW, LATER = "2026-03-01 12:00Z", "2026-04-01 12:00Z"
OPEN: Row = {"state": "open", "issued_at": NOW}
PERIOD: Row = {"current_period_start": NOW, "current_period_end": LATER}

WORK = {
    f"{table}_lease_iff_running": [{"lease_until": NOW}, {"state": "running"}]
    for table in (
        *("billing_chargetask", "billing_gatewaycanceltask", "billing_gatewayevent", "billing_keychecktask"),
        *("billing_methodtask", "billing_paymenttask", "billing_refundtask"),
        *("servers_listing", "servers_operation", "servers_powertask", "servers_provisioningtask"),
        *(
            "servers_remotedeletion",
            "servers_usagetask",
            "support_delivery",
            "support_messagetask",
            "orders_importtask",
        ),
    )
}
# Each of these rows is refused.
CHECKS: dict[str, dict[str, list[Row]]] = {
    "accounts_organization": {
        "accounts_organization_country_iso": [{"country": "de"}, {"country": "D"}],
        "accounts_organization_currency_iso": [{"currency": "usd"}, {"currency": "US"}],
        "accounts_organization_vat_id_of_country": [
            {"has_vat_id": True, "tax_id": "", "country": "DE"},
            {"has_vat_id": True, "tax_id": "DE1", "country": ""},
        ],
    },
    "billing_allocationreversal": {
        "billing_reversal_one_cause": [{"refund_id": ONE, "dispute_id": ONE}],
        "billing_reversal_positive": [{"amount_minor": 0}, {"amount_minor": -1}],
    },
    "billing_autotopup": {
        "billing_auto_top_up_reaches_its_limit": [{"below_minor": 0}, {"below_minor": 2}],
        "billing_auto_top_up_stopped_is_not_active": [{"is_active": True, "stopped_at": NOW}],
    },
    "billing_creditgrant": {
        "billing_grant_has_reason": [{"reason": ""}],
        "billing_grant_left_of_amount": [{"remaining_minor": -1}, {"amount_minor": 1, "remaining_minor": 2}],
        "billing_grant_wallet_credit_stays": [{"kind": "wallet", "remaining_minor": 0, "expires_at": NOW}],
    },
    "billing_creditnote": {
        "billing_creditnote_issued": [{"issued_at": None}],
        "billing_creditnote_number_has_sequence": [
            {"number": "x"},
            {"sequence": 1},
            {"sequence_year": 2026},
            {"number": "x", "sequence_year": 2026},
            {"number": "x", "sequence": 0, "sequence_year": 2026},
        ],
        "billing_creditnote_sequence_year_check": [{"number": "x", "sequence": 1, "sequence_year": -1}],
        "billing_creditnote_positive": [
            {"net_minor": 0, "tax_minor": 0, "total_minor": 0},
            {"net_minor": -1, "tax_minor": 2, "total_minor": 1},
            {"net_minor": 2, "tax_minor": -1, "total_minor": 1},
        ],
        "billing_creditnote_total_is_net_and_tax": [{"total_minor": 3}],
    },
    "billing_dispute": {
        "billing_dispute_outcome_iff_closed": [{"is_won": True}, {"closed_at": NOW}],
        "billing_dispute_positive": [{"amount_minor": 0}],
    },
    "billing_gatewayprice": {"billing_gateway_price_of_one_price": [{"plan_price_id": None}, {"addon_price_id": ONE}]},
    "billing_invoice": {
        "billing_invoice_issued_iff_not_draft": [{"issued_at": NOW}, {"state": "open"}],
        "billing_invoice_not_negative": [
            {"net_minor": -1, "total_minor": 0},
            {"tax_minor": -1, "total_minor": 0},
        ],
        "billing_invoice_number_has_sequence": [
            {"number": "x"},
            {"sequence": 1},
            {"sequence_year": 2026},
            {"number": "x", "sequence": 1, "sequence_year": 2026},
            {**OPEN, "number": "x", "sequence_year": 2026},
            {**OPEN, "number": "x", "sequence": 0, "sequence_year": 2026},
        ],
        "billing_invoice_sequence_year_check": [{**OPEN, "number": "x", "sequence": 1, "sequence_year": -1}],
        "billing_invoice_state_known": [{"state": "unknown", "issued_at": NOW}],
        "billing_invoice_paid_at_when_paid": [{"state": state, "issued_at": NOW} for state in ("paid", "refunded")],
        "billing_invoice_voided_at_iff_void": [{"state": "void", "issued_at": NOW}, {"voided_at": NOW}],
        "billing_invoice_total_is_net_and_tax": [{"total_minor": 3}],
        "billing_invoice_usage_of_whole_month": [{"usage_month": "2026-03-02"}],
    },
    "billing_invoiceitem": {
        "billing_item_amount_is_rounded_once": [
            {"amount_minor": 2},
            {"quantity": "1.5", "unit_minor": "1", "amount_minor": 1},
        ],
        "billing_item_names_subscription_of_its_item": [{"subscription_item_id": ONE}],
        "billing_item_negative_by_kind": [{"kind": "setup", "unit_minor": "-1", "amount_minor": -1}],
        "billing_item_period_forward": [
            {"kind": "setup", "period_start": NOW},
            {"kind": "setup", "period_end": NOW},
            {"kind": "setup", "period_start": NOW, "period_end": NOW},
        ],
        "billing_item_period_names_its_item": [
            {"kind": kind, "period_start": NOW, "period_end": LATER} for kind in ("plan", "addon", "usage")
        ],
        "billing_item_quantity_positive": [{"quantity": 0, "amount_minor": 0}],
    },
    "billing_invoiceseries": {
        "billing_series_default_is_of_invoices": [
            {"document": "credit_note", "credit_note_series_id": None, "is_default": True},
        ],
        "billing_series_seller_country_iso": [{"seller_country": "de"}, {"seller_country": "D"}],
        "billing_series_of_invoices_has_credit_notes": [
            {"credit_note_series_id": None},
            {"document": "credit_note"},
        ],
    },
    "billing_invoicetax": {
        "billing_tax_charged_iff_taxed": [
            {"category": "AE", "rate": 19, "tax_minor": 0},
            {"category": "AE", "rate": 0, "tax_minor": 1},
        ],
        "billing_tax_rate_and_signs": [
            {"rate": -1},
            {"net_minor": -1, "tax_minor": 1},
            {"net_minor": 1, "tax_minor": -1},
        ],
    },
    "billing_journalentry": {
        "billing_entry_payment_by_kind": [{"kind": "charge", "payment_id": ONE, "organization_id": ONE}],
        "billing_entry_invoice_by_kind": [{"kind": "payment", "invoice_id": ONE, "organization_id": ONE}],
        "billing_entry_refund_by_kind": [{"kind": "payment", "refund_id": ONE, "organization_id": ONE}],
        "billing_entry_dispute_by_kind": [{"kind": "payment", "dispute_id": ONE, "organization_id": ONE}],
        "billing_entry_creditgrant_by_kind": [{"kind": "payment", "creditgrant_id": ONE, "organization_id": ONE}],
        "billing_entry_source_has_organization": [
            {"kind": kind, column: ONE}
            for kind, column in (
                ("payment", "payment_id"),
                ("charge", "invoice_id"),
                ("refund", "refund_id"),
                ("dispute", "dispute_id"),
            )
        ],
        "billing_entry_written_in": [{"written_in": "9"}],
    },
    "billing_ledgeraccount": {
        "billing_account_not_overdrawn": [{"balance_minor": -1}, {"kind": "receivable", "balance_minor": 1}],
        "billing_account_organization_iff_its_kind": [{"organization_id": None}, {"kind": "clearing"}],
        "billing_account_promotional_beside_wallet": [{"kind": "reserved_credit", "promotional_minor": 1}],
    },
    "billing_payment": {
        "billing_payment_automatic_has_method": [{"is_automatic": True}],
        "billing_payment_charge_is_of_a_method": [
            {"charge_id": "pi_1"},
            {"charge_requested_at": NOW},
            {"retry_at": NOW},
        ],
        "billing_payment_credit_not_negative": [{"credit_minor": -1}],
        "billing_payment_lost_not_negative": [{"lost_minor": -1}],
        "billing_payment_positive": [{"amount_minor": 0}],
        "billing_payment_received_has_transaction": [
            {"state": state} for state in ("succeeded", "under_review", "refunded", "disputed")
        ],
        "billing_payment_refunded_within": [{"refunded_minor": -1}, {"received_minor": 1, "refunded_minor": 2}],
        "billing_payment_session_or_method": [{"payment_method_id": ONE, "session_requested_at": NOW}],
    },
    "billing_paymentmethod": {"billing_method_default_is_attached": [{"is_default": True, "detached_at": NOW}]},
    "billing_paymentallocation": {"billing_allocation_positive": [{"amount_minor": 0}]},
    "billing_posting": {"billing_posting_not_zero": [{"amount_minor": 0}]},
    "billing_pricecampaign": {
        "billing_campaign_has_one_price": [
            {"plan_price_id": None, "addon_price_id": None},
            {"plan_price_id": ONE, "addon_price_id": ONE},
        ],
        "billing_campaign_announced_before_it_is_effective": [
            {"plan_price_id": ONE, "announced_at": LATER, "effective_at": NOW},
            {"plan_price_id": ONE, "announced_at": NOW, "effective_at": NOW},
            {"plan_price_id": ONE, "status": "announced", "announced_at": None},
        ],
    },
    "billing_pricemove": {
        "billing_price_move_not_negative": [{"unit_minor": -1}],
        "billing_price_move_begins_iff_told": [{"notified_at": None}, {"begins_at": None}],
        "billing_price_move_told_before_it_begins": [
            {"notified_at": LATER, "begins_at": NOW},
            {"notified_at": NOW, "begins_at": NOW},
        ],
        "billing_price_move_applied_once_told": [
            {"applied_at": NOW, "notified_at": None, "begins_at": None},
            {"applied_at": LATER, "notified_at": NOW, "begins_at": LATER, "canceled_at": LATER},
        ],
        "billing_price_move_taken_back_once_told": [
            {"taken_back_at": LATER, "canceled_at": None},
            {"taken_back_at": LATER, "canceled_at": NOW, "notified_at": None, "begins_at": None},
        ],
    },
    "billing_refund": {"billing_refund_positive": [{"amount_minor": 0}]},
    "billing_reminder": {
        "billing_reminder_dates_in_order": [{"suspends_at": LATER, "deletes_at": NOW}],
        "billing_reminder_of_one": [
            {"invoice_id": None, "wallet_id": None},
            {"invoice_id": ONE, "wallet_id": ONE},
            {"invoice_id": ONE, "wallet_id": None, "lapsed_at": NOW},
            {"invoice_id": None, "wallet_id": ONE, "stage": -1},
        ],
    },
    "billing_run": {
        "billing_run_ended_iff_over": [{"ended_at": NOW}, {"state": "done", "ended_at": None}],
        "billing_run_state_known": [{"state": "x", "ended_at": NOW}],
    },
    "billing_statementline": {
        "billing_statement_line_positive": [{"amount_minor": 0}, {"amount_minor": -1}],
        "billing_statement_line_transfer_iff_booked": [{"state": "booked"}, {"transfer_id": ONE}],
    },
    "billing_subscription": {
        "billing_subscription_amount_not_negative": [{"amount_minor": -1}],
        "billing_subscription_deleted_when_ended": [{"deletion_due_at": NOW}],
        "billing_subscription_deletion_told_with_suspension": [{"unpaid_until": NOW}, {"unpaid_deletes_at": NOW}],
        "billing_subscription_metered_by_the_hour": [
            {"metered_from": NOW, "current_period_end": LATER, "term": "monthly"},
            {"metered_from": NOW, "current_period_end": None, "term": "hourly"},
            {"metered_from": LATER, "current_period_end": NOW, "term": "hourly"},
            {"metered_from": NOW, "current_period_end": LATER, "term": "hourly", "billing_mode": "gateway"},
        ],
        "billing_subscription_cancellation_reason_known": [
            {"cancels_at_period_end": True, "cancellation_reason": "bored"},
        ],
        "billing_subscription_reason_when_canceled": [
            {"cancels_at_period_end": False, "cancellation_reason": "unused"},
            {"cancels_at_period_end": False, "cancellation_comment": "x", "cancellation_reason": ""},
        ],
        "billing_subscription_paused_until": [{"status": "paused", **PERIOD, "pauses_until": None}],
        "billing_subscription_pauses_what_we_renew": [
            {"pauses_until": LATER, "status": "active", **PERIOD, **refused}
            for refused in ({"billing_mode": "gateway"}, {"term": "hourly"}, {"status": "pending"}, {"status": "ended"})
        ],
        "billing_subscription_period_when_active": [
            {"status": status, column: value, "pauses_until": LATER, "billing_mode": "self", "term": "monthly"}
            for status in ("active", "past_due", "suspended", "paused")
            for column, value in (("current_period_end", NOW), *((column, None) for column in PERIOD))
        ],
    },
    "billing_subscriptionpause": {"billing_pause_ends_after_it_begins": [{"begun_at": LATER, "ended_at": NOW}]},
    "billing_usagecycle": {
        "billing_usage_hour_whole": [{"hour": "2026-03-01 12:30Z"}],
        "billing_usage_price_not_negative": [{"unit_minor": "-1"}],
    },
    "billing_subscriptionitem": {
        "billing_subscription_item_has_its_price": [
            {"plan_price_id": None},
            {"addon_price_id": ONE},
            {"kind": "addon"},
            {"kind": "setup"},
        ],
        "billing_subscription_item_negative_iff_discount": [
            {"unit_minor": -1},
            {"kind": "discount", "plan_price_id": None, "unit_minor": 0},
        ],
        "billing_subscription_item_periods_of_discount": [
            {"periods": 1},
            {"kind": "discount", "plan_price_id": None, "unit_minor": -1, "periods": 0},
        ],
        "billing_subscription_item_quantity_positive": [{"quantity": 0}],
        "billing_subscription_item_valid_forward": [{"valid_from": NOW, "valid_until": NOW}, {"valid_until": NOW}],
    },
    "billing_unexplaineditem": {
        "billing_unexplained_amount_has_currency": [{"amount_minor": 1}, {"currency": "USD"}],
        "billing_unexplained_resolution_given": [{"resolved_at": NOW}, {"resolution": "x"}],
    },
    "billing_taxrate": {
        "billing_tax_rate_country_iso": [{"country": "de"}, {"country": "D"}],
        "billing_tax_rate_iff_taxed": [{"category": "S", "rate": 0}, {"category": "O", "rate": 1}],
        "billing_tax_rate_is_percent": [{"rate": 101}],
        "billing_tax_rate_not_reverse_charge": [{"category": "AE", "rate": 0}],
        "billing_tax_rate_valid_forward": [{"valid_from": LATER, "valid_until": NOW}],
    },
    "catalog_addon": {
        "catalog_addon_units_within": [{"max_units": 0}, {"max_units": 1001}],
        "catalog_addon_cost_has_currency": [{"cost_minor": 1, "cost_currency": ""}, {"cost_currency": "USD"}],
    },
    "orders_orderitemaddon": {"orders_addon_quantity_positive": [{"quantity": 0}]},
    "catalog_plan": {
        "catalog_plan_cost_has_currency": [{"cost_minor": 1, "cost_currency": ""}, {"cost_currency": "USD"}],
        "catalog_plan_sizes_positive": [{"cpu_percent": 0}, {"memory_mib": 0}, {"disk_mib": 0}],
    },
    "orders_importrow": {"orders_import_row_has_its_server": [{"outcome": "imported"}]},
    "orders_affiliate": {"orders_affiliate_code_characters": [{"code": "ab"}, {"code": "ABC"}]},
    "orders_commissionpayout": {
        "orders_payout_positive": [{"amount_minor": 0, "paid_minor": 0}, {"paid_currency": "EUR", "paid_minor": 0}],
        "orders_payout_same_currency_same_amount": [
            {"currency": "USD", "amount_minor": 1, "paid_currency": "USD", "paid_minor": 2}
        ],
    },
    "orders_referral": {
        "orders_referral_commission_positive": [{"commission_minor": 0}, {"commission_minor": -1}],
        "orders_referral_not_of_itself": [{"customer_id": ONE, "organization_id": ONE}],
        "orders_referral_open_iff_pending": [{"closed_at": NOW}, {"status": "earned"}],
        "orders_referral_status_known": [{"status": "?", "closed_at": NOW}],
        "orders_referral_percent_within": [{"percent": 0}, {"percent": 101}],
    },
    "orders_order": {
        "orders_active_at_when_active": [{"status": "active", "paid_at": NOW}],
        "orders_paid_at_when_paid": [
            {"status": status, "active_at": NOW}
            for status in ("paid", "provisioning", "active", "waiting_capacity", "failed")
        ],
    },
    "orders_planchange": {
        "orders_plan_change_applied_at_when_applied": [{"status": "applying"}, {"status": "done"}],
        "orders_plan_change_due_when_it_begins_at_once": [{"due_minor": -1}, {"effective_at": LATER}],
        "orders_plan_change_paid_by_its_invoice": [{"status": "pending_payment", "invoice_id": None}],
    },
    "servers_allocation": {"servers_allocation_primary_is_reserved": [{"is_primary": True}]},
    "servers_blueprint": {
        "servers_blueprint_shape": [
            {"egg_id": None},
            {"plan_ref": "x"},
            {"build": "machine"},
            {"build": "container"},
        ],
    },
    "servers_driftfinding": {"servers_drift_finding_reason_iff_ignored": [{"ignored_at": NOW, "ignore_reason": ""}]},
    "servers_node": {
        "servers_node_disk_not_oversold": [{"disk_sellable_mib": 1, "disk_oversold_mib": 1, "disk_reserved_mib": 3}],
        "servers_node_memory_not_oversold": [
            {"memory_sellable_mib": 1, "memory_oversold_mib": 1, "memory_reserved_mib": 3},
        ],
        "servers_node_unreachable_is_silent": [{"silent_since": None, "unreachable_since": NOW}],
    },
    "servers_region": {
        "servers_region_on_earth": [
            {"latitude": 1},
            {"longitude": 1},
            {"latitude": 91, "longitude": 1},
            {"latitude": 1, "longitude": -181},
        ],
    },
    "servers_reservation": {
        "servers_reservation_expires_iff_reserved": [{"state": "reserved"}, {"expires_at": NOW}],
        "servers_reservation_released_at_iff_released": [{"state": "released"}, {"released_at": NOW}],
    },
    "servers_server": {
        "servers_server_deleted_at_iff_deleted": [{"status": "deleted"}, {"deleted_at": NOW}],
        "servers_server_pulled_within_layers": [{"layers_done": 1}, {"layers_done": 2, "layers_total": 1}],
    },
    "servers_usagesample": {"servers_usagesample_with_limit": [{"players": 1}, {"players_limit": 1}]},
    "servers_syncrun": {
        "servers_sync_run_finished_iff_ended": [
            {"finished_at": NOW},
            {"state": "completed", "started_at": NOW},
            {"state": "failed", "started_at": NOW},
        ],
        "servers_sync_run_started_iff_not_pending": [{"started_at": NOW}, {"state": "running"}],
        "servers_sync_run_state_known": [{"state": "unknown", "started_at": NOW}],
    },
    "support_delivery": {"delivery_reference_has_user": [{"reference": "x"}]},
}
for prefix in ("plan", "addon"):
    CHECKS[f"catalog_{prefix}price"] = {
        f"catalog_{prefix}_price_amount_rounds_rate": [
            {"term": "hourly", "rate_minor": "1.6", "amount_minor": 1},
            {"term": "hourly", "rate_minor": "0.4", "amount_minor": 1},
            {"term": "hourly", "rate_minor": "-0.1", "amount_minor": 0},
        ],
        f"catalog_{prefix}_price_not_negative": [{"amount_minor": -1}],
        f"catalog_{prefix}_price_rate_iff_hourly": [{"term": "hourly"}, {"rate_minor": 1}],
    }
for model in ("promotion", "coupon"):
    CHECKS[f"catalog_{model}"] = {
        f"catalog_{model}_percent_or_amount": [{"percent": None}, {"amount_minor": 1, "currency": "USD"}],
        f"catalog_{model}_percent_within": [{"percent": 0}, {"percent": "100.0001"}],
        f"catalog_{model}_amount_positive": [{"percent": None, "amount_minor": 0, "currency": "USD"}],
        f"catalog_{model}_currency_iso": [{"percent": None, "amount_minor": 1, "currency": "usd"}],
        f"catalog_{model}_periods_iff_several": [
            {"duration": "periods"},
            {"duration": "periods", "periods": 0},
            {"duration": "once", "periods": 2},
        ],
        f"catalog_{model}_ends_after_start": [{"starts_at": NOW, "ends_at": NOW}],
    }
CHECKS["catalog_promotion"]["catalog_promotion_amount_has_currency"] = [
    {"currency": "USD"},
    {"percent": None, "amount_minor": 1, "currency": ""},
]
CHECKS["catalog_coupon"] |= {
    "catalog_coupon_amounts_have_currency": [{"currency": "USD"}, {"cap_minor": 1}, {"minimum_minor": 1}],
    "catalog_coupon_cap_positive_of_percent": [
        {"cap_minor": 0, "currency": "USD"},
        {"cap_minor": 1, "currency": "USD", "percent": None, "amount_minor": 1},
    ],
    "catalog_coupon_code_characters": [{"code": "a b"}, {"code": ""}],
    "catalog_coupon_minimum_positive": [{"minimum_minor": 0, "currency": "USD"}],
}
CHECKS["catalog_planprice"]["catalog_plan_price_not_negative"].append({"setup_fee_minor": -1})
for name, rows in WORK.items():
    CHECKS.setdefault(name.removesuffix("_lease_iff_running"), {})[name] = rows

# The second of two such rows is refused.
ONCE: dict[str, dict[str, Row]] = {
    "accounts_membership": {"accounts_membership_once": {"organization_id": ONE, "user_id": ONE}},
    "accounts_organization": {"accounts_one_personal_organization": {"owner_id": ONE, "is_personal": True}},
    "accounts_user": {
        "accounts_user_email_unique": {"email": "x", "username": ANY},
        "accounts_user_username_unique": {"username": "x", "email": ANY},
    },
    "billing_autotopup": {"billing_auto_top_up_once": {"organization_id": ONE, "currency": "USD"}},
    "billing_creditnote": {
        "billing_creditnote_number_key": {"number": "x", "sequence": 1, "sequence_year": 2026, "reversal_id": ANY},
        "billing_creditnote_reversal_id_key": {"reversal_id": ONE},
        "billing_creditnote_sequence_once": {
            "series_id": "x",
            "sequence": 1,
            "sequence_year": 2026,
            "number": ANY,
            "reversal_id": ANY,
        },
    },
    "billing_creditgrant": {
        "billing_grant_once": {
            "organization_id": ONE,
            "form_token": ONE,
            "kind": "wallet",
            "amount_minor": 1,
            "remaining_minor": 0,
            "currency": "USD",
        }
    },
    "billing_dispute": {"billing_dispute_reference_once": {"gateway": "x", "reference": "x"}},
    "billing_gatewaybalance": {
        "billing_gatewaybalance_once": {"gateway": "stripe", "currency": "USD", "held_minor": 0, "clearing_minor": 0},
        "billing_gatewaybalance_difference_is_dated": {"held_minor": 5, "clearing_minor": 6, "differs_since": None},
    },
    "billing_gatewaycursor": {"billing_cursor_once": {"gateway": "x", "type": "events"}},
    "billing_gatewaycustomer": {
        "billing_customer_once": {"organization_id": ONE, "gateway": "x"},
        "billing_customer_reference_once": {"gateway": "x", "reference": "x"},
    },
    "billing_gatewayevent": {"billing_event_once": {"gateway": "x", "event_id": "x"}},
    "billing_gatewayprice": {
        "billing_gateway_price_once_a_plan_price": {"gateway": "x", "plan_price_id": ONE},
        "billing_gateway_price_once_an_addon_price": {
            "gateway": "x",
            "plan_price_id": None,
            "addon_price_id": ONE,
        },
        "billing_gateway_price_reference_once": {"gateway": "x", "reference": "x", "plan_price_id": ANY},
    },
    "billing_gatewaysubscription": {
        "billing_gateway_subscription_reference_once": {"gateway": "x", "reference": "x"},
        "billing_gateway_subscription_one_charges": {"subscription_id": ONE, "is_duplicate": False},
    },
    "billing_invoice": {
        "billing_invoice_one_for_usage": {"organization_id": ONE, "currency": "USD", "usage_month": "2026-03-01"},
        "billing_invoice_number_key": {**OPEN, "number": "x", "sequence": 1, "sequence_year": 2026},
        "billing_invoice_sequence_once": {
            **OPEN,
            "series_id": "x",
            "sequence": 1,
            "sequence_year": 2026,
            "number": ANY,
        },
    },
    "billing_invoiceitem": {
        "billing_item_period_billed_once": {
            "kind": "plan",
            "subscription_id": ONE,
            "subscription_item_id": ONE,
            "period_start": NOW,
            "period_end": LATER,
        },
    },
    "billing_invoiceseries": {"billing_series_one_default": {"is_default": True}},
    "billing_ledgeraccount": {
        "billing_account_once": {"kind": "wallet", "organization_id": ONE, "gateway": "", "currency": "USD"},
    },
    "billing_payment": {
        "billing_payment_charge_once": {"gateway": "x", "charge_id": "x", "payment_method_id": ONE},
        "billing_payment_one_automatic_top_up": {"state": "pending", "is_automatic": True, "payment_method_id": ONE}
        | {"organization_id": ONE, "currency": "USD", "invoice_id": None},
        "billing_payment_one_open": {"invoice_id": ONE, "state": "processing"},
        "billing_payment_session_once": {"gateway": "x", "session_id": "x"},
        "billing_payment_transaction_once": {"gateway": "x", "transaction_id": "x"},
    },
    "billing_paymentallocation": {"billing_allocation_once": {"invoice_id": ONE, "payment_id": None}},
    "billing_paymentmethod": {
        "billing_method_once": {"gateway": "x", "reference": "x"},
        "billing_method_one_default": {"organization_id": ONE, "is_default": True},
    },
    "billing_refund": {"billing_refund_transaction_once": {"gateway": "x", "transaction_id": "x"}},
    "billing_subscriptionitem": {
        "billing_subscription_one_plan": {"subscription_id": ONE, "kind": "plan", "valid_from": NOW},
    },
    "billing_reminder": {
        "billing_reminder_once": {"invoice_id": ONE, "stage": 1},
        "billing_reminder_once_until_it_lapses": {"wallet_id": ONE, "invoice_id": None, "stage": 1},
    },
    "billing_usagecycle": {"billing_usage_hour_once": {"subscription_id": ONE, "hour": NOW}},
    "billing_subscriptionpause": {"billing_pause_one_at_a_time": {"subscription_id": ONE, "ended_at": None}},
    "billing_pricemove": {"billing_price_move_once": {"item_id": ONE, "canceled_at": None}},
    "billing_unexplaineditem": {"billing_unexplained_once": {"gateway": "x", "type": "refund", "reference": "x"}},
    "billing_taxrate": {
        "billing_tax_rate_one_at_a_time": {"country": "DE", "region": "", "valid_from": NOW, "valid_until": None},
    },
    "catalog_addonprice": {"catalog_addon_price_one_current": {"addon_id": ONE, "term": "monthly", "currency": "USD"}},
    "catalog_coupon": {"catalog_coupon_code_once": {"code": "x"}},
    "catalog_planprice": {"catalog_plan_price_one_current": {"plan_id": ONE, "term": "monthly", "currency": "USD"}},
    "core_auditlink": {"core_auditlink_entry_id_key": {"position": ANY, "entry_id": 1}},
    "orders_importrow": {
        "orders_import_row_once": {"server_import_id": ONE, "position": 1},
        "orders_importrow_server_id_key": {"server_id": ONE, "outcome": "imported", "position": ANY},
    },
    "orders_affiliate": {"orders_affiliate_code_key": {"code": "abc"}},
    "orders_affiliateclicks": {"orders_clicks_once_a_day": {"affiliate_id": ONE, "clicked_on": "2026-03-01"}},
    "orders_order": {"orders_form_token_once": {"organization_id": ONE, "form_token": ONE}},
    "orders_planchange": {
        "orders_plan_change_one_open": {"subscription_id": ONE, "status": "quoted"},
        "orders_planchange_invoice_id_key": {"invoice_id": ONE, "subscription_id": ANY},
        "orders_planchange_reservation_id_key": {"reservation_id": ONE, "subscription_id": ANY},
    },
    "orders_orderitemaddon": {"orders_addon_once": {"item_id": ONE, "addon_price_id": ONE}},
    "servers_allocation": {
        "servers_allocation_once": {"node_id": ONE, "ip": "192.0.2.1", "port": 1},
        "servers_allocation_one_primary": {"reservation_id": ONE, "is_primary": True},
        "servers_allocation_ref_once": {"node_id": ONE, "ref": "x"},
    },
    "servers_blueprintimage": {"servers_blueprint_image_once": {"blueprint_id": ONE, "image_id": ONE}},
    "servers_blueprint": {"servers_blueprint_one_active": {"product_id": ONE, "provider_id": ONE, "is_active": True}},
    "servers_driftfinding": {
        "servers_drift_finding_one_open": {"provider_id": ONE, "subject_ref": "x", "ignore_reason": ""},
    },
    "servers_egg": {"servers_egg_once": {"nest_id": ONE, "ref": "x"}},
    "servers_eggvariable": {"servers_egg_variable_once": {"egg_id": ONE, "env_variable": "x"}},
    "servers_location": {"servers_location_once": {"provider_id": ONE, "ref": "x"}},
    "servers_nest": {"servers_nest_once": {"provider_id": ONE, "ref": "x"}},
    "servers_node": {"servers_node_once": {"provider_id": ONE, "ref": "x"}},
    "servers_panelaccount": {
        "servers_panel_account_of_one_user": {"provider_id": ONE, "ref": "x"},
        "servers_panel_account_once": {"user_id": ONE, "provider_id": ONE},
    },
    "billing_statementline": {"billing_statement_line_once": {"account_id": ONE, "fingerprint": "x"}},
    "servers_remoteaccountseen": {"servers_remote_account_seen_once": {"provider_id": ONE, "ref": "x"}},
    "servers_remotedeletion": {"servers_remote_deletion_one_open": {"provider_id": ONE, "ref": "x"}},
    "servers_remoteserverseen": {"servers_remote_server_seen_once": {"provider_id": ONE, "ref": "x"}},
    "servers_listing": {"servers_listing_once": {"server_id": ONE, "kind": "backups", "target": ""}},
    "servers_usagebucket": {"servers_usage_bucket_once": {"server_id": ONE, "minutes": 15, "starts_at": NOW}},
    "servers_serveraccess": {"servers_access_once": {"user_id": ONE, "server_id": ONE}},
    "servers_serverhold": {"servers_hold_one_of_a_kind": {"server_id": ONE, "kind": "billing"}},
    "servers_servervariable": {"servers_variable_once": {"server_id": ONE, "env_variable": "x"}},
    "servers_syncrun": {
        "servers_sync_run_one_pending": {"provider_id": ONE, "kind": "full", "state": "pending"},
        "servers_sync_run_one_running": {"provider_id": ONE, "state": "running", "started_at": NOW},
    },
    "support_delivery": {"delivery_once_per_user_and_channel": {"reference": "x", "user_id": ONE, "channel": "x"}},
}
# Columns that are unique alone.
for column in (
    "accounts_organization.slug",
    "billing_chargetask.payment_id",
    "billing_gatewayaccount.code",
    "billing_gatewaycanceltask.gateway_subscription_id",
    "billing_journalentry.reference",
    "billing_banktransfer.payment_id",
    "billing_banktransfer.reference",
    "billing_keychecktask.account_id",
    "billing_methodtask.method_id",
    "billing_payment.idempotency_key",
    "billing_paymenttask.payment_id",
    "billing_refund.idempotency_key",
    "billing_refundtask.refund_id",
    "catalog_addon.code",
    "catalog_image.code",
    "catalog_plan.code",
    "catalog_product.slug",
    "orders_affiliate.organization_id",
    "orders_couponredemption.order_id",
    "orders_importtask.server_import_id",
    "orders_order.invoice_id",
    "orders_order.number",
    "orders_orderitem.reservation_id",
    "orders_orderitem.server_id",
    "orders_orderitem.subscription_id",
    "orders_referral.customer_id",
    "orders_referral.order_id",
    "servers_blueprint.name",
    "servers_powertask.server_id",
    "servers_provider.name",
    "servers_provisioningtask.server_id",
    "servers_region.code",
    "servers_server.reservation_id",
    "servers_usagetask.server_id",
):
    table, _, name = column.partition(".")
    ONCE.setdefault(table, {})[f"{table}_{name}_key"] = {name: ONE if name.endswith("_id") else "1"}
