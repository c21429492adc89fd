"""Every page there is, and how to get there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from django.template.loader import get_template
from playwright.sync_api import Page

from tests.browser.gallery import Gallery

BROKEN = "/broken/"  # answered by the browser's own route: the shop has no page that fails on purpose


@dataclass(frozen=True)
class View:
    """One page: its name and address, who opens it, and what is done there first."""

    name: str
    address: str
    who: str = "visitor"
    act: Callable[[Page], None] | None = None
    status: int = 200


NAMES = (
    "home", "products", "category", "category unknown", "product", "configurator", "configurator refused",
    "configurator hourly", "configurator sold out", "transfer", "offer server", "waitlist",
    "waitlist empty", "cart", "cart empty",
    "cart refused", "sign up", "sign up refused", "log in", "log in refused", "log out", "reset", "reset sent",
    "new password", "new password broken", "verification sent", "confirm", "confirm broken", "not found", "csrf",
    "broken", "dashboard", "dashboard empty", "servers", "servers empty", "invoices", "invoices empty",
    "subscriptions", "subscriptions empty", "wallet", "wallet empty", "wallet saver", "wallet refused",
    "cancel subscription", "cancel subscription refused", "pause subscription", "pause subscription refused",
    "affiliate", "affiliate empty",
    "payment methods", "payment methods empty", "remove payment method", "choose top-up", "profile",
    "profile refused", "ssh keys", "ssh keys refused", "billing address", "billing address refused",
    "email addresses", "password", "devices", "reauthenticate",
    "order pending", "order confirming", "order provisioning", "order active", "order waiting",
    "order failed", "order canceled", "order under-review", "order processing", "order disputed",
    "order dispute-lost", "order refunded", "order refund-refused", "order credited",
    "choose payment", "choose payment refused", "bank transfer",
    "choose plan", "plan change quoted", "plan change payment", "plan change open",
    "server running", "server stopped", "server suspended", "server paused", "server installing", "server failed",
    "server usage", "server backups", "server backup restore", "server backup delete",
    "server databases", "server databases refused", "server database delete", "server startup",
    "server startup refused", "server schedules", "server schedules refused",
    "server network", "server settings", "server reinstall", "server activity", "server access",
    "server files", "server file", "server file move", "server file delete", "server upload", "server console",
    "server machine settings", "server machine network", "server machine network refused", "server rebuild",
    "server rebuild refused", "server container", "server container refused", "server output",
    "server rename refused", "server kill", "invoice paid", "invoice due", "invoice pay", "invoice to confirm",
    "invoice confirm",
    "invoice refunded", "invoice credit note void", "credit configurator part", "credit configurator full",
    "credit order part", "credit order full", "credit order canceled", "credit invoice", "credit invoices",
    "menu", "menu of the shop",
)  # fmt: skip


def views(gallery: Gallery) -> dict[str, View]:
    """All of them by name."""
    return {
        view.name: view
        for view in (
            *_shop(),
            *_sign_in(gallery),
            *_account(gallery),
            *_objects(gallery),
            *_credit(gallery),
            *_errors(),
        )
    }


def _shop() -> Iterator[View]:
    configure = "/products/minecraft/configure/?plan=mc-4gb"
    yield View("home", "/")
    yield View("menu of the shop", "/", act=_open_menu)
    yield View("products", "/products/")
    yield View("category", "/products/?category=survival")
    yield View("category unknown", "/products/?category=none", status=404)
    yield View("product", "/products/minecraft/")
    yield View("configurator", configure)
    yield View("configurator hourly", f"{configure}&term=hourly")
    yield View("configurator refused", configure, "owner", _order_badly, 422)
    yield View("configurator sold out", "/products/minecraft/configure/?plan=mc-8gb")
    yield View("waitlist", "/waitlist/", "owner")
    yield View("waitlist empty", "/waitlist/", "newcomer")
    yield View("cart", configure, "owner", _fill_cart)
    yield View("cart empty", "/cart/", "newcomer")
    yield View("cart refused", configure, "owner", _fill_cart_badly, 422)


def _sign_in(gallery: Gallery) -> Iterator[View]:
    yield View("sign up", "/accounts/signup/")
    yield View("sign up refused", "/accounts/signup/", act=_sign_up_badly)
    yield View("log in", "/accounts/login/")
    yield View("log in refused", "/accounts/login/", act=_log_in_badly)
    yield View("log out", "/accounts/logout/", "owner")
    yield View("reset", "/accounts/password/reset/")
    yield View("reset sent", "/accounts/password/reset/done/")
    yield View("new password", gallery.addresses["new password"])
    yield View("new password broken", "/accounts/password/reset/key/1-nothing/")
    yield View("verification sent", "/accounts/confirm-email/")
    yield View("confirm", gallery.addresses["confirm"])
    yield View("confirm broken", gallery.addresses["confirm broken"])


def _account(gallery: Gallery) -> Iterator[View]:
    for name in ("dashboard", "servers", "subscriptions", "wallet", "invoices", "payment methods"):
        address = f"/{name.replace(' ', '-')}/"
        yield View(name, address, "owner")
        yield View(f"{name} empty", address, "newcomer")
    yield View("transfer", gallery.addresses["transfer"], "owner")
    yield View("offer server", gallery.addresses["offer server"], "owner")
    yield View("cancel subscription", gallery.addresses["cancel subscription"], "owner")
    yield View("cancel subscription refused", gallery.addresses["cancel subscription"], "owner", _choose_nothing, 422)
    yield View("pause subscription", gallery.addresses["pause subscription"], "owner")
    yield View("pause subscription refused", gallery.addresses["pause subscription"], "owner", _choose_nothing, 422)
    yield View("remove payment method", "/payment-methods/", "saver", _remove_used_method, 409)
    yield View("affiliate", "/affiliate/", "owner")
    yield View("affiliate empty", "/affiliate/", "newcomer")
    yield View("menu", "/dashboard/", "owner", _open_menu)
    yield View("profile", "/profile/", "owner")
    yield View("profile refused", "/profile/", "owner", _save_badly, 422)
    yield View("ssh keys", "/ssh-keys/", "owner")
    yield View("ssh keys refused", "/ssh-keys/", "owner", _paste_a_private_key, 422)
    yield View("billing address", "/billing-address/", "owner")
    yield View("billing address refused", "/billing-address/", "owner", _write_a_wrong_vat_id, 422)
    yield View("email addresses", "/accounts/email/", "newcomer")
    yield View("password", "/accounts/password/change/", "owner")
    yield View("devices", "/accounts/sessions/", "owner")
    yield View("reauthenticate", "/accounts/reauthenticate/", "owner")


def _objects(gallery: Gallery) -> Iterator[View]:
    for name, address in gallery.addresses.items():
        if name.startswith(("order ", "server ", "invoice ")):
            yield View(name, address, "owner")
    yield View("order confirming", f"{gallery.addresses['order pending']}?returned=1", "owner")
    yield View("choose payment", gallery.addresses["choose payment"], "owner")
    yield View("choose payment refused", gallery.addresses["choose payment"], "owner", _choose_nothing, 422)
    for name in ("bank transfer", "choose plan", "plan change quoted", "choose top-up"):
        yield View(name, gallery.addresses[name], "owner")
    quoted = gallery.addresses["plan change quoted"]
    yield View("plan change payment", quoted, "owner", _confirm_plan_change)
    yield View("plan change open", quoted, "owner")
    running = gallery.addresses["server running"]
    yield View("server kill", running, "owner", _ask_to_kill)
    settings = gallery.addresses["server settings"]
    yield View("server rename refused", settings, "owner", _rename_badly, 422)
    named = gallery.addresses["server machine network"]
    yield View("server machine network refused", named, "owner", _name_address_badly, 422)
    yield View("server rebuild refused", gallery.addresses["server rebuild"], "owner", _rebuild_badly, 422)
    yield View("server container refused", gallery.addresses["server container"], "owner", _set_environment_badly, 422)
    yield View("server databases refused", gallery.addresses["server databases"], "owner", _name_badly, 422)
    yield View("server startup refused", gallery.addresses["server startup"], "owner", _set_badly, 422)
    yield View("server schedules refused", gallery.addresses["server schedules"], "owner", _schedule_badly, 422)


def _credit(gallery: Gallery) -> Iterator[View]:
    for name, plan in (("part", "mc-4gb"), ("full", "mc-2gb")):
        yield View(f"credit configurator {name}", f"/products/minecraft/configure/?plan={plan}", "saver")
    for name, address in gallery.addresses.items():
        if name.startswith("credit "):
            yield View(name, address, "saver")
    yield View("credit invoices", "/invoices/", "saver")
    yield View("wallet saver", "/wallet/", "saver")
    yield View("wallet refused", "/wallet/", "saver", _top_up_badly, 422)


def _errors() -> Iterator[View]:
    yield View("not found", "/no/such/page/", status=404)
    yield View("csrf", "/accounts/login/", act=_log_in_without_cookie, status=403)
    yield View("broken", BROKEN, status=500)


def broken_page() -> str:
    """What is sent when our own code fails."""
    return get_template("500.html").render()


def _open_menu(page: Page) -> None:
    button = page.locator("[popovertarget=more], [popovertarget=topnav]").first
    if button.is_visible():  # on a desktop the menu is always shown
        button.click()


def _send(page: Page, form: str) -> None:
    """Send a form past the browser's own checks, as an old browser would."""
    page.locator(form).evaluate("form => { form.noValidate = true; }")
    with page.expect_navigation():
        page.locator(f"{form} [type=submit]").first.click()


def _order_badly(page: Page) -> None:
    page.fill("[name=server_name]", "<b>")
    with page.expect_response("**/configure/**"):
        page.locator("[name=addons]").first.check()  # the price is asked for anew
    page.locator("#quote td", has_text="more memory").wait_for()
    _send(page, "#configure")


def _fill_cart(page: Page) -> None:
    """Two servers of one plan and one of another."""
    for name in ("lantern-smp", "Night shift"):
        page.goto(page.url.partition("/cart/")[0].partition("/products/")[0] + "/products/minecraft/configure/")
        page.fill("[name=server_name]", name)
        with page.expect_navigation():
            page.locator("[name=add_to_cart]").click()
    _set_quantity(page, "2")


def _fill_cart_badly(page: Page) -> None:
    _fill_cart(page)
    quantity = "form => { form.querySelector('[type=number]').value = '99'; form.noValidate = true; "
    with page.expect_navigation():  # as a browser without JavaScript
        page.locator("#order-cart").evaluate(quantity + "form.requestSubmit(form.querySelector('[formaction]')); }")


def _set_quantity(page: Page, quantity: str) -> None:
    """Leave the field with another quantity, and wait until htmx has replaced the cart by the one with it."""
    page.locator("#cart").evaluate("cart => { cart.dataset.before = ''; }")
    page.locator("input[type=number]").first.fill(quantity)
    page.locator("input[type=number]").first.press("Tab")
    page.locator("#cart:not([data-before])").wait_for()


def _sign_up_badly(page: Page) -> None:
    page.fill("[name=email]", "ada@")
    page.fill("[name=password1]", "12345")
    _send(page, "main form")


def _log_in_badly(page: Page) -> None:
    page.fill("[name=login]", f"{uuid4().hex}@example.test")  # else the limit on guessing one password answers
    page.fill("[name=password]", "wrong")
    _send(page, "main form")


def _save_badly(page: Page) -> None:
    page.locator("[name=phone]").evaluate("field => { field.maxLength = 99; }")
    page.fill("[name=phone]", "1" * 40)
    _send(page, "#profile")


def _write_a_wrong_vat_id(page: Page) -> None:
    for name, value in (("billing_name", "Ada Lovelace"), ("address_line", "1 rue Ada"), ("city", "Paris")):
        page.fill(f"[name={name}]", value)
    page.select_option("[name=country]", "FR")
    page.fill("[name=tax_id]", "FR41303265045")
    _send(page, "#billing-address")


def _rename_badly(page: Page) -> None:
    page.fill("[name=name]", "!")
    _send(page, "#rename")


def _paste_a_private_key(page: Page) -> None:
    page.fill("[name=public_key]", "-----BEGIN OPENSSH PRIVATE KEY-----")
    _send(page, "form.card")


def _name_address_badly(page: Page) -> None:
    page.locator("[name=name]").first.fill("mail server")
    _send(page, "#live form")


def _rebuild_badly(page: Page) -> None:
    page.fill("[name=typed]", "another")
    _send(page, "form.card")


def _set_environment_badly(page: Page) -> None:
    page.fill("[name=environment]", "MODE production")
    _send(page, "form.card")


def _name_badly(page: Page) -> None:
    page.fill("[name=name]", "my world")
    _send(page, "form.card")


def _set_badly(page: Page) -> None:
    page.fill("[name=set-SERVER_JARFILE]", "../server.sh")
    _send(page, "#startup")


def _schedule_badly(page: Page) -> None:
    page.select_option("[name=every]", "cron")
    page.fill("[name=line]", "61 * * * *")
    _send(page, "form.card")


def _choose_nothing(page: Page) -> None:
    page.locator("main form [type=radio]").evaluate_all("all => all.forEach(each => { each.checked = false; })")
    _send(page, "main form")


def _top_up_badly(page: Page) -> None:
    page.fill("[name=other]", "1000000")
    _send(page, "#top-up")


def _confirm_plan_change(page: Page) -> None:
    with page.expect_navigation():  # the second time it is confirmed already, and only paid
        page.locator("form[action$='/confirm/'] [type=submit], form[action$='/pay/'] [type=submit]").first.click()


def _remove_used_method(page: Page) -> None:
    with page.expect_navigation():
        page.locator("form[action$='/remove/'] [type=submit]").click()


def _ask_to_kill(page: Page) -> None:
    page.locator("[commandfor=kill]").first.click()


def _log_in_without_cookie(page: Page) -> None:
    page.fill("[name=login]", "ada@example.test")
    page.fill("[name=password]", "wrong")
    page.context.clear_cookies()
    _send(page, "main form")
