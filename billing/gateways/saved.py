"""Methods that a gateway saved for later: keeping them, and charging one while its owner is absent.

A charge is one attempt. It may need its owner, who confirms it at their bank, also days later; until it is canceled or
refused it can still take money, so a second one for the same invoice waits for that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable
from uuid import UUID

from billing.gateways.base import GatewayPayment, SavedCard
from core.money import Money


class ChargeStatus(StrEnum):
    """PROCESSING waits for a bank, REQUIRES_ACTION for the method's owner; CANCELED takes no money any more."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"
    CANCELED = "canceled"


@dataclass(frozen=True)
class ChargeRequest:
    """A charge to make. `payment_id` is the id of our row, which the gateway stores with it."""

    idempotency_key: str
    payment_id: UUID
    organization_id: UUID
    customer: str
    method: str
    amount: Money
    description: str


@dataclass(frozen=True)
class GatewayCharge:
    """A charge in its current state.

    `failure_code` is a code of `billing.models.declines` where that has it. `is_method_refused`: this method is
    refused for good, and is not charged again. `action_url` is the page on which its owner confirms it.
    """

    reference: str
    status: ChargeStatus
    payment: GatewayPayment | None = None
    failure_code: str = ""
    failure: str = ""
    is_method_refused: bool = False
    action_url: str = ""


@runtime_checkable
class SavedCharges(Protocol):
    """A gateway that charges a saved method while its owner is absent."""

    def charge(self, request: ChargeRequest) -> GatewayCharge:
        """Charge the method, once for each idempotency key. A refusal by the bank is an answer and raises nothing."""

    def find_charge(self, request: ChargeRequest) -> GatewayCharge | None:
        """The charge that an earlier call made although its answer was lost; None only when there is none."""

    def read_charge(self, reference: str) -> GatewayCharge:
        """The charge in its current state."""

    def confirm_charge(self, reference: str, *, method: str, return_url: str) -> GatewayCharge:
        """Try the charge again while the method's owner is present; where their bank asks, with its `action_url`.

        A charge takes money once, however often it is confirmed.
        """

    def cancel_charge(self, reference: str) -> GatewayCharge:
        """Take no money by it any more, unless that has happened meanwhile; the charge in the state it then has."""


@dataclass(frozen=True)
class SetupRequest:
    """A page on which the customer saves a method. Nothing is charged there."""

    organization_id: UUID
    customer: str
    currency: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True)
class GatewayMethod:
    """A saved method in its current state: `customer` is empty once it is removed, `card` None for other kinds."""

    customer: str
    card: SavedCard | None


@runtime_checkable
class SavedMethods(Protocol):
    """A gateway on whose pages customers save methods."""

    def create_setup_page(self, request: SetupRequest) -> str:
        """The address of a page to save a method on; each call makes a page of its own."""

    def read_method(self, reference: str) -> GatewayMethod:
        """The method in its current state."""

    def detach_method(self, reference: str) -> None:
        """Remove the method for good; harmless where it is removed already."""


@runtime_checkable
class CustomerPortal(Protocol):
    """A gateway with a page on which customers manage what it renews."""

    def create_portal_page(self, *, customer: str, return_url: str) -> str:
        """The address of the customer's page, which is open for minutes."""
