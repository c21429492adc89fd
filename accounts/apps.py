"""accounts' Django configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    is_nodebyte = True

    def ready(self) -> None:
        from accounts import receivers  # noqa: F401 - connects the receivers
