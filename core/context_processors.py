"""The public settings for every template."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from core import site_settings
from core.views import stylesheet_version


class Site:
    """The public settings as attributes: `site.shop_name` or `site.name` is `shop.name`. Read on first use."""

    def __init__(self, read: Callable[[], Mapping[str, Any]] = site_settings.public) -> None:
        self._read = read
        self._values: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._values is None:
            self._values = {key.replace(".", "_"): value for key, value in self._read().items()}
        for key in (name, f"shop_{name}"):
            if key in self._values:
                return self._values[key]
        raise AttributeError(name)

    @property
    def stylesheet_url(self) -> str:
        """The URL of the styles. It changes with them and with the brand colour: browsers may cache it for long."""
        return f"{reverse('stylesheet')}?hue={self.shop_brand_hue}&v={stylesheet_version()}"

    @property
    def url(self) -> str:
        """The shop's address, without a slash at its end."""
        return str(settings.SITE_URL)


def site(request: HttpRequest) -> dict[str, Site]:
    """`site` for every template."""
    return {"site": Site()}
