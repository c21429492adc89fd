"""URLs of a customer's orders."""

from django.urls import path

from orders import views

app_name = "orders"
urlpatterns = [
    path("orders/<uuid:pk>/", views.progress, name="progress"),
    path("orders/<uuid:pk>/pay/", views.pay, name="pay"),
    path("orders/<uuid:pk>/pay/with/", views.choose_payment, name="choose_payment"),
    path("orders/<uuid:pk>/cancel/", views.cancel, name="cancel"),
]
