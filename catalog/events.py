"""What apps above the catalog say of what staff enter there: a receiver that objects raises ValidationError."""

from django.dispatch import Signal

plan_entered = Signal()  # plan: with what was entered, not saved yet
addon_entered = Signal()  # kind, products: with which it is to be offered
