"""The catalog's pages for staff."""

from catalog.admin import discounts, products  # noqa: F401 - register their pages
