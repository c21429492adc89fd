"""URLs of a customer's subscriptions."""

from django.urls import path

from orders.renewal import views

app_name = "subscriptions"
urlpatterns = [
    path("subscriptions/", views.subscriptions, name="list"),
    path("subscriptions/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("subscriptions/<uuid:pk>/resume/", views.undo_cancellation, name="undo_cancellation"),
    path("subscriptions/<uuid:pk>/pause/", views.pause, name="pause"),
    path("subscriptions/<uuid:pk>/end-pause/", views.end_pause, name="end_pause"),
    path("subscriptions/<uuid:pk>/auto-renewal/", views.set_auto_renewal, name="auto_renewal"),
]
