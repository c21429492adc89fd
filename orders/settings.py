"""Site settings about orders."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

CATEGORY = _("Orders")

site_settings.register(
    Definition(
        key="orders.reservation_minutes",
        type=SettingType.INTEGER,
        default=45,
        category=CATEGORY,
        description=_("Minutes until an unpaid order is canceled and its capacity released."),
        min=31,  # billing.gateways.base.MIN_SESSION_LIFETIME
        max=1380,
    )
)
site_settings.register(
    Definition(
        key="orders.waitlist_hours",
        type=SettingType.INTEGER,
        default=24,
        category=CATEGORY,
        description=_("Hours for which capacity that comes free is reserved for who is first on a plan's waitlist."),
        min=1,
        max=168,
    )
)
site_settings.register(
    Definition(
        key="orders.waiting_refund_hours",
        type=SettingType.INTEGER,
        default=24,
        category=CATEGORY,
        description=_("Hours after which a paid order that waits for capacity is refunded."),
        min=1,
        max=720,
    )
)
site_settings.register(
    Definition(
        key="orders.delivery_hours",
        type=SettingType.INTEGER,
        default=24,
        category=CATEGORY,
        description=_("Hours after the payment in which a server has to run. After that the order has failed."),
        min=1,
        max=720,
    )
)
site_settings.register(
    Definition(
        key="orders.failed_refund_hours",
        type=SettingType.INTEGER,
        default=72,
        category=CATEGORY,
        description=_("Hours after which an order whose server could not be created is refunded."),
        min=1,
        max=720,
    )
)
for _name, _default, _description in (
    ("max_unpaid_per_user", 5, _("Unpaid orders that a user may have open at once.")),
    ("max_unpaid_per_organization", 10, _("Unpaid orders that an organization may have open at once.")),
    ("max_unpaid_per_network", 10, _("Unpaid orders that may be open at once from one IP address.")),
    (
        "max_unpaid_of_new_customer",
        2,
        _("Unpaid orders that a new customer may have open: one who never paid and saved no payment method."),
    ),
    ("max_payments_per_order", 4, _("Payments that may be started for one order; each one extends its reservation.")),
):
    site_settings.register(
        Definition(
            key=f"orders.{_name}",
            type=SettingType.INTEGER,
            default=_default,
            category=CATEGORY,
            description=_description,
            min=1,
            max=100_000,
        )
    )
site_settings.register(
    Definition(
        key="orders.transfer_after_days",
        type=SettingType.INTEGER,
        default=0,
        category=CATEGORY,
        description=_(
            "Days after a payment in which the server that it paid cannot be transferred; 0 is none. A bank's dispute "
            "suspends the server after a transfer too, also where whoever received it knew nothing."
        ),
        min=0,
        max=120,
    )
)
site_settings.register(
    Definition(
        key="orders.auto_renew_by_default",
        type=SettingType.BOOLEAN,
        default=False,
        category=CATEGORY,
        description=_("Offer automatic renewal switched on. Leave it off where the law asks customers to agree first."),
    )
)
site_settings.register(
    Definition(
        key="orders.bank_debit_days",
        type=SettingType.INTEGER,
        default=5,
        category=CATEGORY,
        description=_("Working days that a bank debit takes at most, as the order's page says."),
        min=1,
        max=30,
    )
)
