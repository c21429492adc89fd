"""orders' Django configuration."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    is_nodebyte = True

    def ready(self) -> None:
        from orders import receivers, settings  # noqa: F401 - connect and register
