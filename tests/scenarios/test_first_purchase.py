"""From a new user to a running server, with nothing but pages, links, forms, emails and the payment page."""

from core import work
from demo.browser import Browser, Page
from orders.models import Order
from servers.models import PowerTask, Server, ServerStatus
from tests.scenarios.browser import ClientBrowser
from tests.shop import Clock, Shop, deliver_webhooks, panel_servers, run_until_idle

PASSWORD = "a quite long pass phrase 42"
EMAIL = "grace@example.test"


def sign_up_from(browser: ClientBrowser, page: Page, shop: Shop, clock: Clock) -> Page:
    """Give an address and a password, open the email, and confirm; the page that follows."""
    browser.send(page, page.form_with("password1"), email=EMAIL, password1=PASSWORD)
    run_until_idle(clock)
    (mail,) = shop.sandbox.mails(to=EMAIL)
    (link,) = [link for link in mail["links"] if "confirm-email" in link]
    confirm = browser.open(link)
    return browser.send(confirm, confirm.form_to("confirm-email"))


def choose(browser: ClientBrowser, name: str) -> Page:
    """Go from the home page to the configurator and order a server of that name; the page that follows."""
    products = browser.open(browser.open("/").link_to("/products/"))
    product = browser.open(products.link_to("/products/minecraft/"))
    form_page = browser.open(product.link_to("/products/minecraft/configure/"))
    return browser.send(form_page, form_page.form_with("server_name"), server_name=name)


def pay(browser: ClientBrowser, shop: Shop) -> Page:
    """Pay on the page that the browser was sent to, and come back."""
    assert browser.left_to.startswith(shop.sandbox.stripe_url)
    assert "8.00" in Browser().open(browser.left_to).text
    paid = shop.sandbox.pay(browser.left_to)
    assert paid.is_accepted
    return browser.open(paid.url)


def test_a_new_user_gets_a_running_server_stops_it_and_renames_it(shop: Shop, clock: Clock) -> None:
    browser = ClientBrowser()

    sign_up = choose(browser, "Grace's world")
    order_page = sign_up_from(browser, sign_up, shop, clock)
    assert "Grace&#x27;s world" in order_page.text
    browser.send(order_page, order_page.form_with("server_name"))
    thanks = pay(browser, shop)
    assert thanks.is_refreshing

    assert set(deliver_webhooks(shop.sandbox)) == {200}
    run_until_idle(clock)
    done = browser.open(thanks.url)
    assert not done.is_refreshing
    assert "Active" in done.statuses

    server = Server.objects.get()
    page = browser.open(done.link_to(f"/servers/{server.pk}/"))
    assert server.address in page.text
    assert "Grace&#x27;s world" in page.text
    _confirm, paid, running = shop.sandbox.mails(to=EMAIL)
    assert "8.00" in paid["text"]
    assert server.address in running["text"]

    browser.press(page, "/power/", action="stop")
    work.run_due(models=(PowerTask,))
    assert power_of(shop) == "offline"
    assert server.reload().status == ServerStatus.STOPPED

    page = browser.open(browser.open(page.url).link_to(f"/servers/{server.pk}/settings/"))
    renamed = browser.send(page, page.form_to("/rename/"), name="Hopper")
    assert "Hopper" in renamed.text
    run_until_idle(clock)
    assert [row["name"] for row in panel_servers(shop.sandbox)] == ["Hopper"]

    invoices = browser.open("/invoices/")
    assert "$8.00" in browser.open(invoices.link_to("/invoices/", "-")).text


def power_of(shop: Shop) -> str:
    """The power state of the only server, after the node had time to change it."""
    shop.sandbox.advance(30)
    (server,) = panel_servers(shop.sandbox)
    return str(server["runtime"]["state"])


def test_a_declined_card_is_reported_and_another_one_pays(shop: Shop, clock: Clock) -> None:
    browser = ClientBrowser()
    browser.client.force_login(shop.customer)
    choose(browser, "lantern-smp")

    declined = shop.sandbox.pay(browser.left_to, card="pm_card_chargeDeclined")
    assert (declined.status, declined.is_accepted) == (402, False)
    pay(browser, shop)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    assert len(panel_servers(shop.sandbox)) == 1
    assert len([charge for charge in shop.sandbox.stripe_state()["charge"] if charge["paid"]]) == 1


def test_a_user_who_goes_back_from_the_payment_page_can_pay_from_the_order(shop: Shop, clock: Clock) -> None:
    browser = ClientBrowser()
    browser.client.force_login(shop.customer)
    choose(browser, "lantern-smp")
    first = browser.left_to

    dashboard = browser.open("/dashboard/")
    order_page = browser.open(dashboard.link_to(f"/orders/{Order.objects.get().pk}"))
    browser.press(order_page, "/pay/")
    assert browser.left_to == first
    pay(browser, shop)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    assert len(panel_servers(shop.sandbox)) == 1
