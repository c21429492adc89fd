"""The channels of the stand-in: limits, lifetimes, fees, and who pays them."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from sandbox.state import JsonObject

MINUTE, DAY = 60, 86_400


class FeeSplit(StrEnum):
    """Who pays a channel's fee, as the merchant set it; of a shared one each pays half."""

    MERCHANT = "merchant"
    CUSTOMER = "customer"
    SHARED = "shared"


@dataclass(frozen=True)
class Channel:
    """One way to pay. Amounts are whole rupiah, lifetimes seconds, `percent` of the amount."""

    code: str
    name: str
    group: str
    min_amount: int
    max_amount: int
    min_seconds: int
    max_seconds: int
    flat: int
    percent: str = "0"
    minimum_fee: int | None = None
    split: FeeSplit = FeeSplit.MERCHANT
    is_redirect: bool = False
    is_active: bool = True

    def fees(self, amount: int) -> tuple[int, int]:
        """What the merchant and the customer pay of the fee on an amount."""
        percent = (Decimal(amount) * Decimal(self.percent) / 100).to_integral_value(ROUND_HALF_UP)
        fee = max(self.flat + int(percent), self.minimum_fee or 0)
        customer = {FeeSplit.MERCHANT: 0, FeeSplit.CUSTOMER: fee, FeeSplit.SHARED: fee // 2}[self.split]
        return fee - customer, customer

    def listed(self) -> JsonObject:
        """As the channel list shows it: `total_fee.percent` is text, the others are numbers."""
        none, half, all_of_it = Decimal(0), Decimal("0.5"), Decimal(1)
        shares = {
            FeeSplit.MERCHANT: (all_of_it, none),
            FeeSplit.CUSTOMER: (none, all_of_it),
            FeeSplit.SHARED: (half, half),
        }
        share = shares[self.split]
        parts = [{"flat": int(self.flat * part), "percent": float(Decimal(self.percent) * part)} for part in share]
        return {
            "group": self.group,
            "code": self.code,
            "name": self.name,
            "type": "redirect" if self.is_redirect else "direct",
            "fee_merchant": parts[0],
            "fee_customer": parts[1],
            "total_fee": {"flat": self.flat, "percent": f"{Decimal(self.percent):.2f}"},
            "minimum_fee": self.minimum_fee,
            "maximum_fee": None,
            "minimum_amount": self.min_amount,
            "maximum_amount": self.max_amount,
            "icon_url": f"https://tripay.invalid/{self.code.lower()}.png",
            "active": self.is_active,
        }


BANK, STORE, QR, WALLET = "Virtual Account", "Convenience Store", "QRIS", "E-Wallet"
_LISTED = (
    Channel("BRIVA", "BRI Virtual Account", BANK, 10_000, 10_000_000, 60 * MINUTE, 30 * DAY, 4250),
    Channel("BCAVA", "BCA Virtual Account", BANK, 10_000, 10_000_000, 15 * MINUTE, 30 * DAY, 5500,
            split=FeeSplit.CUSTOMER),
    Channel("BSIVA", "BSI Virtual Account", BANK, 10_000, 10_000_000, 60 * MINUTE, 180 * MINUTE, 4250),
    Channel("INDOMARET", "Indomaret", STORE, 10_000, 2_500_000, 15 * MINUTE, 30 * DAY, 3500, split=FeeSplit.SHARED),
    Channel("QRIS", "QRIS by ShopeePay", QR, 1000, 5_000_000, 10 * MINUTE, 60 * MINUTE, 750, "0.70"),
    Channel("OVO", "OVO", WALLET, 1000, 10_000_000, 15 * MINUTE, 30 * DAY, 0, "3.00", minimum_fee=1000,
            split=FeeSplit.CUSTOMER, is_redirect=True),
    Channel("MYBVA", "Maybank Virtual Account", BANK, 10_000, 10_000_000, 15 * MINUTE, 30 * DAY, 4250,
            is_active=False),
)  # fmt: skip
CHANNELS = {channel.code: channel for channel in _LISTED}
