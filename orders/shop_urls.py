"""Addresses of the shelves."""

from django.urls import path

from orders import shop

app_name = "catalog"
urlpatterns = [
    path("games/", shop.products, name="products"),
    path("games/<slug:slug>/", shop.product, name="product"),
]
