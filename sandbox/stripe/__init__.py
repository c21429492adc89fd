"""A stand-in for Stripe's API, hosted payment page and webhooks, at API version 2026-10-28.endive."""
