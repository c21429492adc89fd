"""From a stranger to a running server, with nothing but pages, links, forms, mail and the payment page."""

from demo.browser import Page, Visitor
from servers.models import Server, ServerStatus
from tests.scenarios.person import Person
from tests.shop import Clock, Shop, hear, panel_servers, run_until_idle

PASSWORD = "a quite long pass phrase 42"
EMAIL = "grace@example.test"


def sign_up_from(person: Person, page: Page, shop: Shop, clock: Clock) -> Page:
    """Give an address and a password, open the mail, and confirm; the page that follows."""
    person.send(page, page.form_with("password1"), email=EMAIL, password1=PASSWORD)
    run_until_idle(clock)
    (mail,) = shop.sandbox.mails(to=EMAIL)
    (link,) = [link for link in mail["links"] if "confirm-email" in link]
    confirm = person.open(link)
    return person.send(confirm, confirm.form_to("confirm-email"))


def choose(person: Person, name: str) -> Page:
    """Walk from the home page to the configurator and order a server of that name; the page that follows."""
    games = person.open(person.open("/").link_to("/games/"))
    product = person.open(games.link_to("/games/minecraft/"))
    form_page = person.open(product.link_to("/order/minecraft/"))
    return person.send(form_page, form_page.form_with("server_name"), server_name=name)


def pay(person: Person, shop: Shop) -> Page:
    """Pay on the page one was sent to, and come back."""
    assert person.away.startswith(shop.sandbox.stripe_url)
    assert "8.00" in Visitor().open(person.away).text
    paid = shop.sandbox.pay(person.away)
    assert paid.is_accepted
    return person.open(paid.url)


def test_a_stranger_gets_a_running_server_stops_it_and_renames_it(shop: Shop, clock: Clock) -> None:
    person = Person()

    sign_up = choose(person, "Grace's world")
    order_page = sign_up_from(person, sign_up, shop, clock)
    assert "Grace&#x27;s world" in order_page.text
    person.send(order_page, order_page.form_with("server_name"))
    thanks = pay(person, shop)
    assert thanks.is_refreshing

    assert set(hear(shop.sandbox)) == {200}
    run_until_idle(clock)
    done = person.open(thanks.url)
    assert not done.is_refreshing
    assert "Active" in done.statuses

    server = Server.objects.get()
    page = person.open(done.link_to(f"/servers/{server.pk}/"))
    assert server.address in page.text
    assert "Grace&#x27;s world" in page.text
    _confirm, paid, running = shop.sandbox.mails(to=EMAIL)
    assert "8.00" in paid["text"]
    assert server.address in running["text"]

    person.press(page, "/power/", signal="stop")
    assert power_of(shop) == "offline"
    assert server.reload().status == ServerStatus.STOPPED

    page = person.open(page.url)
    renamed = person.send(page, page.form_to("/rename/"), name="Hopper")
    assert "Hopper" in renamed.text
    run_until_idle(clock)
    assert [row["name"] for row in panel_servers(shop.sandbox)] == ["Hopper"]

    invoices = person.open("/invoices/")
    assert "$8.00" in person.open(invoices.link_to("/invoices/", "-")).text


def power_of(shop: Shop) -> str:
    """What the node says of the only server, once it had time to do as it was told."""
    shop.sandbox.advance(30)
    (server,) = panel_servers(shop.sandbox)
    return str(server["runtime"]["state"])


def test_a_declined_card_is_told_and_another_one_pays(shop: Shop, clock: Clock) -> None:
    person = Person()
    person.client.force_login(shop.customer)
    choose(person, "lantern-smp")

    declined = shop.sandbox.pay(person.away, card="pm_card_chargeDeclined")
    assert (declined.status, declined.is_accepted) == (402, False)
    pay(person, shop)
    hear(shop.sandbox)
    run_until_idle(clock)

    assert len(panel_servers(shop.sandbox)) == 1
    assert len([charge for charge in shop.sandbox.stripe_state()["charge"] if charge["paid"]]) == 1


def test_one_who_goes_back_from_the_payment_page_can_pay_from_the_order(shop: Shop, clock: Clock) -> None:
    person = Person()
    person.client.force_login(shop.customer)
    choose(person, "lantern-smp")
    first = person.away

    dashboard = person.open("/dashboard/")
    order_page = person.open(dashboard.link_to("/orders/"))
    person.press(order_page, "/pay/")
    assert person.away == first
    pay(person, shop)
    hear(shop.sandbox)
    run_until_idle(clock)

    assert len(panel_servers(shop.sandbox)) == 1
