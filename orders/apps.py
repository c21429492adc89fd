"""orders's Django configuration."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    is_nodebyte = True
