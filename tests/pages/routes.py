"""Every page of customers and visitors, for tests that apply to all of them."""

from django.urls import reverse

from tests.pages.rows import Dataset

PUBLIC = ("home", "products", "product", "configurator", "cart", "sign up", "log in", "reset password", "not found")
LISTS = ("dashboard", "servers", "subscriptions", "orders", "invoices", "wallet", "payment methods")
OWN = (
    "order",
    "choose payment",
    "bank transfer",
    "server",
    "choose plan",
    "cancel subscription",
    "pay top-up",
    "invoice",
    "pay invoice",
)
SECTIONS = (
    *("usage", "console", "files", "backups", "databases", "startup", "schedules", "network", "settings", "activity"),
    *("access", "reinstall"),
)
CONTAINER_SECTIONS = ("logs", "container", "rebuild")
OF_SERVERS = tuple(f"server {each}" for each in (*SECTIONS, *CONTAINER_SECTIONS))
PERSONAL = ("profile", "ssh keys", "billing address", "email addresses", "password", "devices", "affiliate", "log out")
NAMES = (*PUBLIC, *LISTS, *OWN, *PERSONAL)


def address(name: str, dataset: Dataset) -> str:
    """The page's address."""
    slug, section = dataset.product.slug, name.removeprefix("server ")
    if name in OF_SERVERS:
        server = dataset.container if section in CONTAINER_SECTIONS else dataset.server
        return reverse(f"servers:{section}", kwargs={"pk": server.pk})
    addresses = {
        "home": reverse("home"),
        "products": reverse("storefront:products"),
        "product": reverse("storefront:product", kwargs={"slug": slug}),
        "configurator": reverse("storefront:configure", kwargs={"slug": slug}),
        "cart": reverse("storefront:cart"),
        "sign up": reverse("account_signup"),
        "log in": reverse("account_login"),
        "reset password": reverse("account_reset_password"),
        "not found": "/no/such/page/",
        "dashboard": reverse("dashboard"),
        "servers": reverse("servers:list"),
        "subscriptions": reverse("subscriptions:list"),
        "orders": reverse("orders:list"),
        "invoices": reverse("billing:invoices"),
        "wallet": reverse("wallet:wallet"),
        "pay top-up": reverse("wallet:pay_top_up", kwargs={"pk": dataset.top_up.pk}),
        "payment methods": reverse("billing:payment_methods"),
        "bank transfer": reverse("billing:transfer", kwargs={"pk": dataset.transfer.payment_id}),
        "order": reverse("orders:progress", kwargs={"pk": dataset.order.pk}),
        "choose payment": reverse("orders:choose_payment", kwargs={"pk": dataset.order.pk}),
        "server": reverse("servers:detail", kwargs={"pk": dataset.server.pk}),
        "choose plan": reverse("orders:choose_plan", kwargs={"pk": dataset.server.pk}),
        "cancel subscription": reverse("subscriptions:cancel", kwargs={"pk": dataset.subscription.pk}),
        "invoice": reverse("billing:invoice", kwargs={"pk": dataset.invoice.pk}),
        "pay invoice": reverse("billing:pay", kwargs={"pk": dataset.invoice.pk}),
        "profile": reverse("accounts:profile"),
        "ssh keys": reverse("accounts:ssh_keys"),
        "billing address": reverse("accounts:billing_address"),
        "email addresses": reverse("account_email"),
        "password": reverse("account_change_password"),
        "devices": reverse("usersessions_list"),
        "affiliate": reverse("affiliates:affiliate"),
        "log out": reverse("account_logout"),
    }
    return addresses[name]
