"""Manual bank transfers: the page with our bank details is ours, and staff say what arrived."""

from billing.gateways.transfer.driver import TransferDriver

__all__ = ["TransferDriver"]
