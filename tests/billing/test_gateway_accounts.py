"""Which accounts take a payment: those with keys of their own, of the mode that their payments have."""

from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from billing import gateway_accounts, payments
from billing.gateways.base import driver_of
from billing.models import GatewayAccount, GatewayCustomer, PaymentState
from core import tenancy
from nodebyte.overview import shop_problems
from tests.billing.sales import NOON, make_sale
from tests.billing.test_refused_statements import execute_and_check
from tests.builders import make_organization
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET

pytestmark = pytest.mark.django_db
OWN_KEYS = {"secret_key": "sk_live_of_its_own", "webhook_secret": "whsec_of_its_own"}


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = STRIPE_KEY, WEBHOOK_SECRET


def make_account(**fields: Any) -> GatewayAccount:
    """A second Stripe account."""
    return GatewayAccount.objects.create(**({"code": "second", "kind": "stripe", "name": "Second"} | fields))


def codes() -> list[str]:
    """The accounts that take dollars."""
    return [account.code for account in gateway_accounts.accounts_for(currency="USD")]


def problems() -> list[str]:
    """What the staff start page says."""
    return [problem.text for problem in shop_problems(NOON)]


def test_only_the_first_account_may_use_the_keys_of_the_environment(client: Client) -> None:
    make_account()

    assert codes() == ["stripe"]
    assert problems() == ["Second: Its keys are missing."]
    assert not driver_of("second").is_configured()
    assert client.post("/webhooks/second/", data="{}", content_type="application/json").status_code == 503

    GatewayAccount.objects.filter(code="second").update(credentials=OWN_KEYS)
    assert codes() == ["second", "stripe"]
    assert driver_of("second").is_live()


def test_an_account_with_one_key_of_its_own_gets_the_other_from_nowhere() -> None:
    GatewayAccount.objects.filter(code="stripe").update(credentials={"secret_key": "sk_test_1"})

    assert codes() == []
    assert problems() == ["Stripe: Its keys are missing.", "No gateway account takes USD, the shop's currency."]


def test_a_kind_that_has_no_driver_stops_no_other_account() -> None:
    make_account(kind="gone")

    assert codes() == ["stripe"]
    assert problems() == ["Second: No gateway of the kind gone is installed."]


def test_the_first_payment_decides_whether_an_account_takes_real_money(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_live_1"
    sale = make_sale()
    assert sale.payment.is_live
    assert GatewayAccount.objects.get().is_live
    assert codes() == ["stripe"]

    settings.STRIPE_SECRET_KEY = STRIPE_KEY

    assert codes() == []
    assert problems()[0] == "Stripe: It took real money so far, and its keys are test keys now."


def test_an_account_that_took_test_payments_takes_no_real_ones(settings: Any) -> None:
    make_sale()
    settings.STRIPE_SECRET_KEY = "sk_live_1"

    assert codes() == []
    assert "It took test payments so far" in problems()[0]


@pytest.mark.parametrize("is_live", [True, False])
def test_money_of_the_other_mode_settles_nothing(settings: Any, *, is_live: bool) -> None:
    settings.STRIPE_SECRET_KEY = "sk_live_1" if is_live else STRIPE_KEY
    sale = make_sale()
    settings.STRIPE_SECRET_KEY = STRIPE_KEY if is_live else "sk_live_1"  # the keys that are there now decide nothing

    other = sale.settle(is_live=not is_live)
    assert (other.state, "test money, or live money" in other.review_reason) == (PaymentState.UNDER_REVIEW, True)

    again = make_sale(organization=sale.organization)
    assert again.settle(is_live=is_live).state == PaymentState.SUCCEEDED


def test_a_subscription_of_the_other_mode_is_not_linked_and_loses_no_money(settings: Any) -> None:
    sale = make_sale()
    gateway_payment = sale.gateway_payment(is_live=True, subscription_reference="sub_live")

    payment = payments.settle(payment_id=sale.payment.pk, gateway_payment=gateway_payment, at=NOON)

    assert payment.received_minor == 800
    assert not sale.subscription.gateway_subscriptions.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_payment SET is_live = true WHERE id = %(payment)s",
        "UPDATE billing_gatewaycustomer SET is_live = true WHERE organization_id = %(organization)s",
        "UPDATE billing_gatewayaccount SET is_live = true WHERE code = 'stripe'",
        "INSERT INTO billing_gatewaysubscription (id, organization_id, subscription_id, payment_id, gateway, reference,"
        " is_live, is_duplicate) VALUES (uuidv7(), %(organization)s, %(subscription)s, %(payment)s, 'stripe', 'sub_1',"
        " true, false)",
        "INSERT INTO billing_paymentmethod (id, organization_id, gateway, is_live, reference, brand, last4, is_default)"
        " VALUES (uuidv7(), %(organization)s, 'stripe', true, 'pm_1', '', '', false)",
        "INSERT INTO billing_unexplaineditem (id, gateway, is_live, type, reference, customer, currency, occurred_at,"
        " note, resolution) VALUES (uuidv7(), 'stripe', true, 'refund', 're_1', '', '', now(), '', '')",
    ],
)
def test_the_database_refuses_what_is_of_another_mode_than_its_account(statement: str) -> None:
    sale = make_sale()
    GatewayCustomer.objects.create(organization=sale.organization, gateway="stripe")
    GatewayCustomer.objects.create(organization=make_organization(), gateway="stripe")
    ids = {
        "payment": sale.payment.pk,
        "organization": sale.organization.pk,
        "subscription": sale.subscription.pk,
    }

    with pytest.raises(IntegrityError, match=r"gateway_known|same_gateway"), tenancy.as_role(role=tenancy.WORKER):
        execute_and_check(statement, ids)
