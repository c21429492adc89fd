"""URLs of the storefront."""

from django.urls import path

from orders.storefront import currencies, views

app_name = "storefront"
urlpatterns = [
    path("currency/", currencies.choose_currency, name="currency"),
    path("products/", views.products, name="products"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("products/<slug:slug>/configure/", views.configure, name="configure"),
]
