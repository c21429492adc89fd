"""The public settings for every template."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from core import site_settings


class Site:
    """The public settings as attributes: `site.shop_name` or `site.name` is `shop.name`. Read on first use."""

    def __init__(self) -> None:
        self._values: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._values is None:
            self._values = {key.replace(".", "_"): value for key, value in site_settings.public().items()}
        for key in (name, f"shop_{name}"):
            if key in self._values:
                return self._values[key]
        raise AttributeError(name)

    @property
    def brand_css_url(self) -> str:
        """The URL of the brand stylesheet. It changes with the colour, so that browsers may cache it for long."""
        return f"{reverse('brand_css')}?v={self.shop_brand_hue}"


def site(request: HttpRequest) -> dict[str, Site]:
    """`site` for every template."""
    return {"site": Site()}
