"""nodebyte's Django configuration."""

from django.apps import AppConfig


class NodebyteConfig(AppConfig):
    name = "nodebyte"
    is_nodebyte = True
