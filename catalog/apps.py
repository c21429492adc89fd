"""catalog's Django configuration."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "catalog"
    is_nodebyte = True
