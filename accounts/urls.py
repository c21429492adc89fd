"""URLs of the user's own pages and of their organization's billing address; those for signing in are allauth's."""

from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("ssh-keys/", views.ssh_keys, name="ssh_keys"),
    path("billing-address/", views.billing_address, name="billing_address"),
]
