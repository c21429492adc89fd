"""URLs of affiliates."""

from django.urls import path

from orders.affiliates import views

app_name = "affiliates"
urlpatterns = [
    path("affiliate/", views.affiliate, name="affiliate"),
    path("affiliate/join/", views.join, name="join"),
    path("affiliate/pay-out/", views.pay_out, name="pay_out"),
]
