"""The page of saved cards: added at the gateway, kept right by its events, removed, made the default, expiring."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing import payment_methods, payment_sync
from billing.models import AutoTopUp, GatewaySubscription, PaymentMethod, PaymentState, Subscription
from core.models import AuditEntry
from sandbox.client import Sandbox
from support.models import Delivery
from tests.billing.sales import run_due, wallet_balance
from tests.billing.saved_methods import Renewal, intents, make_renewal, put_credit, save_card, statuses
from tests.builders import PASSWORD
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import write

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/payment-methods/"


@pytest.fixture
def at(stripe_sandbox: Sandbox) -> datetime:
    """Now, with Stripe's stand-in ready."""
    return timezone.now()


def signed_in(renewal: Renewal) -> Client:
    """The organization's owner."""
    client = Client()
    assert client.login(email=renewal.sale.organization.owner.email, password=PASSWORD)
    return client


def deliver_and_work(sandbox: Sandbox) -> None:
    """Deliver every event that Stripe has, and run the work that follows."""
    assert set(deliver_webhooks(sandbox)) <= {200}
    while run_due():
        pass


def attached(sandbox: Sandbox) -> list[str]:
    """The methods that customers have at Stripe."""
    return [each["id"] for each in sandbox.stripe_state()["payment_method"] if each["customer"]]


def test_a_card_is_added_on_stripes_page_and_appears_by_its_event(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    client = signed_in(renewal)
    PaymentMethod.objects.all().delete()
    assert "No card saved" in client.get(PAGE).content.decode()

    page = client.post(f"{PAGE}add/")
    assert page.status_code == 303
    back = stripe_sandbox.pay(page["Location"], card="pm_card_mastercard")
    assert back.url.endswith(f"{PAGE}?added=1")
    for _ in range(2):  # events come more than once
        deliver_and_work(stripe_sandbox)

    shown = client.get(PAGE).content.decode()
    assert "Mastercard ending 4444" in shown
    assert PaymentMethod.objects.filter(last4="4444").count() == 1
    assert intents(stripe_sandbox) == []  # nothing was charged


def test_making_another_card_the_default_lets_it_be_charged_next(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    other = save_card(renewal.sale.organization, "pm_card_mastercard")

    signed_in(renewal).post(f"{PAGE}{other.pk}/default/")
    renewal.request(at)
    run_due()

    assert list(PaymentMethod.objects.filter(is_default=True)) == [other]
    assert renewal.attempts[0].method_label == "Mastercard ending 4444"
    assert AuditEntry.objects.filter(action="payment_method.default").count() == 1


def test_the_only_card_of_a_renewing_subscription_is_removed_only_when_that_is_meant(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    client, url = signed_in(renewal), f"{PAGE}{renewal.method.pk}/remove/"

    Subscription.objects.update(label="lantern-smp")
    refused = client.post(url)
    assert refused.status_code == 409
    for text in ("lantern-smp", "You have no other card", "you pay each renewal by hand"):
        assert text in refused.content.decode()
    assert renewal.method.reload().detached_at is None

    assert client.post(url, {"is_certain": "1"}).status_code == 302
    assert (renewal.method.reload().detached_at is None, renewal.method.reload().is_default) == (False, False)
    assert attached(stripe_sandbox) != []  # a page does not wait for Stripe: a worker removes it there
    run_due()
    assert attached(stripe_sandbox) == []
    assert AuditEntry.objects.filter(action="payment_method.remove").count() == 1


def test_before_the_default_is_removed_its_subscriptions_are_named_with_the_card_that_takes_its_place(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    Subscription.objects.update(label="lantern-smp")
    other = save_card(renewal.sale.organization, "pm_card_mastercard")
    client = signed_in(renewal)
    AutoTopUp.objects.create(
        organization=renewal.sale.organization, currency="USD", below_minor=500, amount_minor=1000, changed_at=at
    )

    asked = client.post(f"{PAGE}{renewal.method.pk}/remove/")

    assert asked.status_code == 409
    page = asked.content.decode()
    for text in ("lantern-smp", "Mastercard ending 4444 is charged instead", "automatic top-up"):
        assert text in page
    assert renewal.method.reload().detached_at is None
    assert client.post(f"{PAGE}{other.pk}/remove/").status_code == 302  # it pays nothing
    assert other.reload().detached_at is not None


def test_of_two_cards_the_other_takes_the_place_of_a_removed_default(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at, card="pm_card_authenticationRequired")
    other = save_card(renewal.sale.organization, "pm_card_visa")
    renewal.request(at)
    run_due()
    assert renewal.attempts[0].waits_for_owner

    payment_methods.remove_anyway(method=renewal.method, actor=None, at=at)
    deliver_and_work(stripe_sandbox)

    assert list(PaymentMethod.objects.filter(is_default=True)) == [other]
    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=1))
    assert renewal.attempts[0].state == PaymentState.FAILED  # nobody confirms a card that is gone
    assert statuses(stripe_sandbox) == ["canceled"]


def test_a_card_that_was_removed_at_stripe_is_not_charged(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    write("detach", lambda stripe: stripe.v1.payment_methods.detach(renewal.method.reference))
    deliver_and_work(stripe_sandbox)

    assert renewal.method.reload().detached_at is not None
    assert renewal.request(at) == "no_method"


def test_the_owner_of_an_expiring_default_card_is_told_once_a_month(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    PaymentMethod.objects.update(expires_on=date(2027, 2, 28))
    days = [datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC)]
    days += [datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)]

    told = []
    for day in days:
        payment_methods.warn_of_expiry(at=day)
        told.append(Delivery.objects.filter(event="card.expiring").count())

    assert told == [0, 1, 1, 2, 2, 2]
    texts = [payment_methods.expiry_text(renewal.method.reload(), day.date()) for day in days]
    assert texts == ["", *["Expires next month"] * 2, *["Expires this month"] * 2, "Expired"]


# -- paying an invoice by hand -----------------------------------------------------------------------------------------


def test_an_invoice_is_paid_from_its_page_by_a_saved_card(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    client, url = signed_in(renewal), f"/invoices/{renewal.invoice.pk}/"
    assert f"{url}pay/" in client.get(url).content.decode()
    assert client.post(f"{url}pay/").status_code == 422
    assert "Visa ending 4242" in client.get(f"{url}pay/").content.decode()

    client.post(f"{url}pay/", {"option": f"method:{renewal.method.pk}"})
    assert "is being charged" in client.get(url).content.decode()
    run_due()

    assert renewal.invoice.reload().state == "paid"
    assert len(intents(stripe_sandbox)) == 1


def test_who_pays_otherwise_closes_the_charge_that_waits_for_them(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at, card="pm_card_authenticationRequired")
    put_credit(renewal, 300, at)
    renewal.request(at)
    run_due()
    client, url = signed_in(renewal), f"/invoices/{renewal.invoice.pk}/"
    assert "Confirm at your bank" in client.get(url).content.decode()

    form = {"option": "stripe:", "shown_credit": "300"}
    page = client.post(f"{url}pay/", form)
    assert statuses(stripe_sandbox) == ["canceled"]
    assert client.post(f"{url}pay/", form)["Location"] == page["Location"]  # the same page again
    assert stripe_sandbox.pay(page["Location"]).is_accepted
    deliver_and_work(stripe_sandbox)

    assert renewal.invoice.reload().state == "paid"
    assert sum(intent["amount_received"] for intent in intents(stripe_sandbox)) == 500
    assert wallet_balance(renewal.sale.organization) == 0


def test_credit_that_suffices_pays_and_the_card_is_left_alone(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    put_credit(renewal, 900, at)
    client, url = signed_in(renewal), f"/invoices/{renewal.invoice.pk}/pay/"
    assert "Pay with your wallet balance" in client.get(url).content.decode()

    client.post(url, {"option": "credit"})

    assert renewal.invoice.reload().state == "paid"
    assert wallet_balance(renewal.sale.organization) == 100
    assert intents(stripe_sandbox) == []


def test_the_portal_opens_only_for_what_stripe_renews(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    client: Any = signed_in(renewal)
    assert "Manage at the payment provider" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}portal/").status_code == 302

    GatewaySubscription.objects.create(
        organization=renewal.sale.organization,
        subscription=renewal.sale.subscription,
        payment=renewal.sale.payment,
        gateway="stripe",
        reference="sub_1",
        is_live=False,
    )
    assert "Manage at the payment provider" in client.get(PAGE).content.decode()
    assert "/p/session/" in client.post(f"{PAGE}portal/")["Location"]
