"""Signals about what staff enter in the catalog: a receiver in an app above refuses it by a ValidationError."""

from django.dispatch import Signal

plan_entered = Signal()  # plan: with what was entered, not saved yet
addon_entered = Signal()  # kind, products: with which it is to be offered
