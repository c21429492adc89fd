"""servers's Django configuration."""

from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"
    is_nodebyte = True
