"""core's URLs."""

from django.urls import path

from core import views

urlpatterns = [path("shop.css", views.stylesheet, name="stylesheet")]
