"""URLs of the storefront."""

from django.urls import path

from orders.storefront import cart_views, currencies, views

app_name = "storefront"
urlpatterns = [
    path("currency/", currencies.choose_currency, name="currency"),
    path("cart/", cart_views.cart, name="cart"),
    path("cart/change/", cart_views.change, name="change_cart"),
    path("products/", views.products, name="products"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("products/<slug:slug>/configure/", views.configure, name="configure"),
]
