"""The admin of orders."""

from orders.admin.affiliates import AffiliateAdmin, AffiliateClicksAdmin, CommissionPayoutAdmin, ReferralAdmin
from orders.admin.changes import PlanChangeAdmin
from orders.admin.drift import DriftFindingAdmin, RemoteAccountSeenAdmin, RemoteDeletionAdmin, RemoteServerSeenAdmin
from orders.admin.imports import ImportRowAdmin, ImportTaskAdmin, ServerImportAdmin
from orders.admin.orders import OrderAdmin, OrderItemAddonAdmin, OrderItemAdmin, OrderStatusChangeAdmin
from orders.admin.transfers import ServerTransferAdmin
from orders.admin.waitlist import WaitlistEntryAdmin

__all__ = [
    "AffiliateAdmin",
    "AffiliateClicksAdmin",
    "CommissionPayoutAdmin",
    "DriftFindingAdmin",
    "ImportRowAdmin",
    "ImportTaskAdmin",
    "OrderAdmin",
    "OrderItemAddonAdmin",
    "OrderItemAdmin",
    "OrderStatusChangeAdmin",
    "PlanChangeAdmin",
    "ReferralAdmin",
    "RemoteAccountSeenAdmin",
    "RemoteDeletionAdmin",
    "RemoteServerSeenAdmin",
    "ServerImportAdmin",
    "ServerTransferAdmin",
    "WaitlistEntryAdmin",
]
