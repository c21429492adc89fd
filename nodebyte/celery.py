"""The Celery app and the schedule. Messages only wake a worker: every fact is a row, so a lost broker loses nothing.

Celery's beat runs the schedule (in seconds, or at a time of the day in UTC) where there is a Redis, and
`manage.py worker` where there is none.
"""

import os

from celery import Celery
from celery.schedules import crontab
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nodebyte.settings")
app = Celery("nodebyte")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
CALLS_PROVIDERS = (
    *("core.tasks.sweep_lanes", "servers.tasks.sync_inventory", "servers.tasks.sync_provider"),
    "servers.tasks.renew_hytale_sign_ins",
)
# "lanes" is core.queue.LANES, which cannot be imported before the settings are read.
app.conf.task_queues = [Queue(name, routing_key=name) for name in (app.conf.task_default_queue, "lanes")]
app.conf.task_routes = ["core.tasks.route", {name: {"queue": "lanes"} for name in CALLS_PROVIDERS}]
NIGHTLY = crontab(hour=3, minute=0)
app.conf.beat_schedule = {
    "sweep": {"task": "core.tasks.sweep", "schedule": 3.0},
    "sweep-lanes": {"task": "core.tasks.sweep_lanes", "schedule": 3.0},
    "poll-payments": {"task": "billing.tasks.poll_open_payments", "schedule": 15.0},
    "catch-up-events": {"task": "billing.tasks.catch_up_events", "schedule": 300.0},
    "sweep-gateway-objects": {"task": "billing.tasks.sweep_objects", "schedule": 3600.0},
    "compare-balances": {"task": "billing.tasks.compare_balances", "schedule": 3600.0},
    "book-balance-transactions": {"task": "billing.tasks.book_balance_transactions", "schedule": 3600.0},
    "audit-ledger": {"task": "billing.tasks.audit_ledger", "schedule": NIGHTLY},
    "warn-of-expiring-cards": {"task": "billing.tasks.warn_of_expiring_cards", "schedule": 3600.0},
    "bill": {"task": "billing.tasks.bill", "schedule": 3600.0},
    "meter": {"task": "billing.tasks.meter", "schedule": 300.0},
    "top-up-wallets": {"task": "billing.tasks.top_up_wallets", "schedule": 60.0},
    "announce-prices": {"task": "billing.tasks.announce_prices", "schedule": 60.0},
    "end-subscriptions": {"task": "billing.tasks.end_subscriptions", "schedule": 300.0},
    "cancel-expired": {"task": "orders.tasks.cancel_expired", "schedule": 30.0},
    "retry-waiting": {"task": "orders.tasks.retry_waiting", "schedule": 60.0},
    "advance-waitlist": {"task": "orders.tasks.advance_waitlist", "schedule": 20.0},
    "advance-plan-changes": {"task": "orders.tasks.advance_plan_changes", "schedule": 60.0},
    "review-holds": {"task": "orders.tasks.review_holds", "schedule": 300.0},
    "fail-overdue": {"task": "orders.tasks.fail_overdue", "schedule": 300.0},
    "refund-overdue": {"task": "orders.tasks.refund_overdue", "schedule": 300.0},
    "advance-commissions": {"task": "orders.tasks.advance_commissions", "schedule": 300.0},
    "recheck-servers": {"task": "servers.tasks.recheck_servers", "schedule": 600.0},
    "sync-inventory": {"task": "servers.tasks.sync_inventory", "schedule": 900.0},
    "sign-audit-trail": {"task": "core.tasks.sign_audit_trail", "schedule": 15.0},
    "purge-cache": {"task": "core.tasks.purge_cache", "schedule": 300.0},
    "purge-done": {"task": "core.tasks.purge_done", "schedule": 3600.0},
    "renew-hytale-sign-ins": {"task": "servers.tasks.renew_hytale_sign_ins", "schedule": 3600.0},
    "sample-running": {"task": "servers.tasks.sample_running", "schedule": 60.0},
    "advance-drains": {"task": "servers.tasks.advance_drains", "schedule": 60.0},
    "measure-nodes": {"task": "servers.tasks.measure_nodes", "schedule": 300.0},
    "purge-history": {"task": "servers.tasks.purge_history", "schedule": 3600.0},
    "delete-ended-sessions": {"task": "accounts.tasks.delete_ended_sessions", "schedule": 3600.0},
}
