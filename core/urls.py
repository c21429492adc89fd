"""core's URLs."""

from django.urls import path

from core import views

urlpatterns = [path("brand.css", views.brand_css, name="brand_css")]
