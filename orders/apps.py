"""orders' Django configuration."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    is_nodebyte = True

    def ready(self) -> None:
        from billing import ledger_audit
        from core import work
        from orders import receivers, settings  # noqa: F401 - connect and register
        from orders.affiliates import commissions
        from orders.affiliates import settings as affiliates  # noqa: F401
        from orders.imports import importing
        from orders.models import ImportTask

        work.register(ImportTask, importing.perform)
        for rule in commissions.RULES:
            ledger_audit.register(rule)
