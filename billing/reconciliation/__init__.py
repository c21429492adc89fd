"""Reconciliation with a gateway that needs no webhook: what it lists is compared with our rows."""
