"""What staff enters: validated, stored, audited; secrets go in and never come out."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from accounts import permissions
from billing.models import AccountKind, CreditGrant, GatewayAccount, Invoice, KeyCheckTask
from catalog.models import Coupon, PlanPrice, Product
from core import site_settings
from core.models import AuditEntry, Setting
from core.money import Rate
from servers.models import Blueprint, Node, Provider
from tests.admin.action_pages import page_of, run
from tests.admin.rows import SECRET, Rows
from tests.billing.sales import balance
from tests.builders import make_addon, make_organization, make_plan, make_price

pytestmark = pytest.mark.django_db


def filled(client: Client, address: str, **data: Any) -> dict[str, Any]:
    """The page's form as a browser would send it, with some fields entered."""
    context = client.get(address).context
    form = context["adminform"].form
    sent = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent |= {"environment": "{}", "configuration": "{}", "container_ports": "[]", "volumes": "[]"}
    for inline in context["inline_admin_formsets"]:
        management = inline.formset.management_form
        sent |= {f"{management.prefix}-{name}": value for name, value in management.initial.items()}
        for line in inline.formset.extra_forms:
            sent |= {line.add_prefix(name): as_sent(line, name) for name in line.fields}
    return {name: value for name, value in (sent | data).items() if value is not None and value is not False}


def as_sent(line: Any, name: str) -> Any:
    """What a browser sends for an untouched input: its value, or a menu's first entry."""
    value, choices = line[name].initial, list(getattr(line.fields[name].widget, "choices", ()))
    return choices[0][0] if value is None and choices and not hasattr(line.fields[name], "queryset") else value


def save(client: Client, address: str, **data: Any) -> Any:
    response = client.post(address, filled(client, address, **data))
    assert response.status_code == 302, response.context["adminform"].form.errors
    return response


def offer(client: Client, plan: Any, **data: Any) -> Any:
    """Fill in the first empty price row."""
    address, page = page_of(plan), {name: data.pop(name) for name in ("is_active",) if name in data}
    count = PlanPrice.objects.filter(plan=plan).count()
    line = {"term": "monthly", "currency": "USD", "amount": "9.50", "setup_fee": ""} | data
    prefix = {f"prices-{count}-{name}": value for name, value in line.items()}
    return client.post(address, filled(client, address, **page, **prefix))


def test_a_product_is_added_with_its_features_one_per_line(superadmin: Client) -> None:
    data = {
        "name": "Terraria",
        "slug": "terraria",
        "kind": "game",
        "features": "Mods\n\n Instant \n",
        "is_active": "on",
    }

    save(superadmin, reverse("admin:catalog_product_add"), **data)

    assert Product.objects.get(slug="terraria").features == ["Mods", "Instant"]
    assert AuditEntry.objects.filter(action="product.add", entity_type="catalog.product").exists()


def test_what_only_the_database_refuses_keeps_what_was_entered(
    superadmin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = reverse("admin:catalog_product_add")
    save(superadmin, add, name="Terraria", slug="terraria", kind="game")
    monkeypatch.setattr(Product, "validate_unique", lambda *_, **__: None)  # as if both were saved at once

    response = superadmin.post(add, filled(superadmin, add, name="Terraria 2", slug="terraria", kind="game"))

    form = response.context["adminform"].form
    assert "This could not be saved" in form.non_field_errors()[0]
    assert form["name"].value() == "Terraria 2"
    assert Product.objects.filter(slug="terraria").count() == 1


def test_a_new_price_supersedes_the_current_one(superadmin: Client) -> None:
    price = make_price(minor=800)

    assert offer(superadmin, price.plan).status_code == 302

    assert price.reload().superseded_at is not None
    assert price.reload().amount_minor == 800
    assert PlanPrice.objects.get(plan=price.plan, superseded_at=None).amount_minor == 950
    assert AuditEntry.objects.filter(action="plan.offer_price", actor__isnull=False).exists()


def test_a_plan_is_saved_without_offering_a_price(superadmin: Client) -> None:
    price = make_price(minor=800)

    save(superadmin, page_of(price.plan), name="Renamed")

    assert price.plan.reload().name == "Renamed"
    assert PlanPrice.objects.filter(plan=price.plan).count() == 1


@pytest.mark.parametrize(
    "data", [{"amount": "-1"}, {"amount": "1.001"}, {"amount": "NaN"}, {"currency": "usd1"}, {"setup_fee": "x"}]
)
def test_an_odd_price_is_refused(superadmin: Client, data: dict[str, str]) -> None:
    plan = make_plan()

    assert offer(superadmin, plan, **data).status_code == 200
    assert not PlanPrice.objects.filter(plan=plan).exists()


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        ({"currency": "KWD", "amount": "1.255"}, "amount", "amounts of KWD go in steps of KWD\xa00.010"),
        ({"currency": "IDR", "amount": "50000.50"}, "amount", "amounts of IDR go in steps of Rp\xa01"),
        ({"currency": "JPY", "amount": "10.5"}, "amount", "amounts of JPY go in steps of ¥1"),
        ({"currency": "USD", "amount": "0.0069"}, "amount", "amounts of USD go in steps of $0.01"),
        ({"currency": "KWD", "setup_fee": "0.005"}, "setup_fee", "amounts of KWD go in steps of KWD\xa00.010"),
        ({"term": "hourly", "amount": "0.0000000000001"}, "amount", "This is not a rate of USD"),
        ({"term": "hourly", "amount": "0.0069", "setup_fee": "0.0069"}, "setup_fee", "in steps of $0.01"),
    ],
)
def test_an_amount_too_fine_to_be_paid_or_shown_is_refused_at_its_field(
    superadmin: Client, data: dict[str, str], field: str, reason: str
) -> None:
    plan = make_plan()

    response = offer(superadmin, plan, **data)

    (line,) = [form for form in response.context["inline_admin_formsets"][0].formset.forms if form.errors]
    assert list(line.errors) == [field]
    assert reason in line.errors[field][0]
    assert not PlanPrice.objects.filter(plan=plan).exists()


def test_the_price_of_an_hour_may_be_finer_than_a_cent(superadmin: Client) -> None:
    plan = make_plan()

    assert offer(superadmin, plan, term="hourly", amount="0.0069").status_code == 302

    assert PlanPrice.objects.get(plan=plan).unit_price == Rate(Decimal("0.69"), "USD")
    for page in (page_of(plan), reverse("admin:catalog_planprice_changelist")):
        assert "$0.0069" in superadmin.get(page).content.decode()


def test_a_price_that_was_offered_cannot_be_changed(superadmin: Client) -> None:
    price = make_price(minor=800)
    sent = {"prices-0-id": price.pk, "prices-0-amount_minor": 1, "prices-0-amount": "0.01", "prices-0-term": "monthly"}

    superadmin.post(page_of(price.plan), filled(superadmin, page_of(price.plan), **sent))

    assert price.reload().amount_minor == 800


def test_saving_a_node_leaves_reservations_alone(superadmin: Client) -> None:
    node = Rows(1).nodes[0]
    sent = filled(superadmin, page_of(node), memory_headroom_mib=1024)
    Node.objects.filter(pk=node.pk).update(memory_reserved_mib=512)

    superadmin.post(page_of(node), sent)

    changed = Node.objects.get(pk=node.pk)
    assert (changed.memory_reserved_mib, changed.memory_sellable_mib) == (512, 8192 - 1024)


def test_a_node_with_more_reserved_than_headroom_leaves_keeps_that_and_sells_nothing(superadmin: Client) -> None:
    node = Rows(1).nodes[0]
    Node.objects.filter(pk=node.pk).update(memory_reserved_mib=8192)

    save(superadmin, page_of(node), memory_headroom_mib=4096)

    changed = Node.objects.get(pk=node.pk)
    assert (changed.memory_reserved_mib, changed.memory_sellable_mib, changed.memory_oversold_mib) == (8192, 4096, 4096)


def test_a_provider_keeps_its_keys_unless_new_ones_are_entered(superadmin: Client) -> None:
    provider = Rows(1).providers[0]

    save(superadmin, page_of(provider), name="Renamed")
    save(superadmin, page_of(provider), key_client_key="brand-new")

    changed = Provider.objects.get(pk=provider.pk)
    assert (changed.name, changed.credentials) == (
        "Renamed",
        {"application_key": SECRET, "client_key": "brand-new"},
    )
    assert "brand-new" not in str(list(AuditEntry.objects.values_list("old", "new")))


def test_keys_are_not_sent_to_another_address_unless_entered_again(superadmin: Client) -> None:
    provider = Rows(1).providers[0]

    response = superadmin.post(page_of(provider), filled(superadmin, page_of(provider), base_url="https://evil.test"))

    assert "Enter the keys again" in response.content.decode()
    assert Provider.objects.get(pk=provider.pk).base_url == "http://panel.test"


def test_a_provider_is_added_and_then_given_the_keys_of_its_kind(superadmin: Client) -> None:
    address = reverse("admin:servers_provider_add")

    save(superadmin, address, kind="pterodactyl", name="New", base_url="https://panel.test", is_active="on")
    provider = Provider.objects.get(name="New")
    save(superadmin, page_of(provider), key_application_key="a", key_client_key="c")

    assert provider.reload().credentials == {"application_key": "a", "client_key": "c"}


def test_hosts_with_engines_are_described_by_a_configuration_that_is_checked(superadmin: Client) -> None:
    address = reverse("admin:servers_provider_add")
    host = {"name": "de1", "address": "tcp://10.0.0.1:2376", "location": "fra", "memory_mib": 4096, "disk_mib": 40960}
    host |= {"ip": "192.0.2.1", "ports": "25000-25999"}
    entered = {"kind": "docker", "name": "Hosts", "is_active": "on"}

    def errors(hosts: list[Any], **more: str) -> dict[str, list[str]]:
        configuration = json.dumps({"hosts": hosts, "images": ["redis:7"]})
        response = superadmin.post(address, filled(superadmin, address, **entered, configuration=configuration, **more))
        return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)

    assert errors([host | {"ports": "80-90"}]) == {
        "configuration": ["Host de1, ports: such as 25000-25999, none below 1024."]
    }
    assert errors([host], base_url="https://10.0.0.1") == {
        "base_url": ["Leave it empty: the addresses are in the configuration."]
    }
    assert errors([host]) == {}
    provider, plan = Provider.objects.get(name="Hosts"), make_plan()
    save_blueprint = {"name": "Redis", "product": str(plan.product_id), "provider": str(provider.pk)}
    save_blueprint |= {"build": "container", "install_minutes": "30", "position": "0", "is_active": "on"}
    address = reverse("admin:servers_blueprint_add")
    refused = superadmin.post(address, filled(superadmin, address, **save_blueprint, image="somebody/miner:1"))
    assert "somebody/miner:1 is not among" in refused.context["adminform"].form.errors["image"][0]
    save(superadmin, address, **save_blueprint, image="redis:7")

    save(superadmin, page_of(provider), configuration=json.dumps({"hosts": [host], "images": ["redis:8"]}))

    assert Blueprint.objects.get(name="Redis").problem == "redis:7 is not among the images of the provider."


def test_what_is_no_list_of_ports_is_refused_beside_its_field(superadmin: Client) -> None:
    address = reverse("admin:servers_blueprint_add")
    sent = filled(superadmin, address, build="container")

    for ports in ("[65536]", "[80, 0]", "[-1]", '["80"]', "[80.5]", "[true]", "80", '{"80": 443}'):
        response = superadmin.post(address, sent | {"container_ports": ports})
        errors = response.context["adminform"].form.errors["container_ports"]
        assert errors == ["A JSON list of port numbers, such as [80, 443]."], ports
        beside = response.content.decode().partition('for="id_container_ports"')[2].partition('for="id_')[0]
        assert (errors[0] in beside, escape(ports) in beside) == (True, True), ports
    errors = superadmin.post(address, sent | {"container_ports": "[1, 65535]"}).context["adminform"].form.errors
    assert ("name" in errors, "container_ports" in errors) == (True, False)


def test_keys_of_a_gateway_account_are_added_to_those_it_has_and_never_shown(superadmin: Client) -> None:
    account = GatewayAccount.objects.get(code="stripe")
    address = page_of(account)

    save(superadmin, address, key_secret_key="sk_test_1", currencies="usd, EUR")
    save(superadmin, address, key_webhook_secret="whsec_1", currencies="USD EUR")

    account = account.reload()
    assert account.credentials == {"secret_key": "sk_test_1", "webhook_secret": "whsec_1"}
    assert account.currencies == ["USD", "EUR"]
    page = superadmin.get(address).content.decode()
    assert page.count("Set. Leave empty to keep it.") == 2
    assert "Being tested" in page
    assert KeyCheckTask.objects.get().account == account
    assert "/webhooks/stripe/" in page
    assert "whsec_1" not in page


def test_wrong_currencies_of_a_gateway_account_are_refused_at_their_field(superadmin: Client) -> None:
    address = page_of(GatewayAccount.objects.get(code="stripe"))

    response = superadmin.post(address, filled(superadmin, address, currencies="USD, Euros"))

    assert list(response.context["adminform"].form.errors) == ["currencies"]


def test_an_account_is_added_and_then_asks_for_the_keys_of_its_kind(superadmin: Client) -> None:
    added = superadmin.post(
        reverse("admin:billing_gatewayaccount_add"),
        {"code": "qris", "kind": "tripay", "name": "Tripay", "currencies": "IDR", "position": 2, "is_active": "on"},
    )
    account = GatewayAccount.objects.get(code="qris")
    assert added["Location"] == page_of(account)
    page = superadmin.get(page_of(account)).content.decode()
    assert "/webhooks/qris/" in page
    assert page.count("Not set.") == 2, "the API key and the private key; the merchant code is no secret"

    save(superadmin, page_of(account), key_merchant_code="T12345", key_api_key="DEV-1", key_private_key="p")

    assert account.reload().credentials == {"merchant_code": "T12345", "api_key": "DEV-1", "private_key": "p"}
    page = superadmin.get(page_of(account)).content.decode()
    assert 'value="T12345"' in page
    assert "DEV-1" not in page


def test_a_blueprint_whose_parts_do_not_fit_is_refused(superadmin: Client) -> None:
    rows = Rows(2)
    address = page_of(rows.blueprints[0])

    response = superadmin.post(address, filled(superadmin, address, environment='{"A": 1}'))

    assert "A JSON object of texts" in response.content.decode()


def test_who_a_draft_is_addressed_to_can_be_changed(superadmin: Client) -> None:
    organization = Rows(1).organizations[0]

    save(superadmin, page_of(organization), city="Utrecht", name="stolen")

    assert organization.reload().city == "Utrecht"
    assert organization.reload().name != "stolen"


@pytest.mark.parametrize("model", [Invoice, AuditEntry])
def test_invoices_and_audit_entries_cannot_be_edited(superadmin: Client, model: Any) -> None:
    Rows(1)
    row = model.objects.first()

    assert superadmin.post(page_of(row), {"state": "paid", "action": "forged"}).status_code == 403


def setting_page(key: str) -> str:
    return reverse("admin:core_setting_change", args=[key.replace("_", "_5F")])


@pytest.mark.parametrize(
    ("key", "data", "value"),
    [("shop.name", "Voxel", "Voxel"), ("shop.brand_hue", "120", 120), ("billing.gateway_renews", "yes", True)],
)
def test_a_setting_is_stored_in_its_type(superadmin: Client, key: str, data: str, value: object) -> None:
    assert superadmin.get(setting_page(key)).status_code == 200
    assert superadmin.post(setting_page(key), {"value": data}).status_code == 302

    assert site_settings.get(key) == value
    assert AuditEntry.objects.filter(action="setting.set", entity_id=key, actor__isnull=False).exists()


@pytest.mark.parametrize(
    ("key", "data"), [("shop.brand_hue", "361"), ("shop.currency", "dollars"), ("shop.support_email", "nobody")]
)
def test_a_wrong_value_is_refused(superadmin: Client, key: str, data: str) -> None:
    assert superadmin.post(setting_page(key), {"value": data}).status_code == 422
    assert not Setting.objects.filter(pk=key).exists()


def test_an_empty_value_goes_back_to_the_default(superadmin: Client) -> None:
    superadmin.post(setting_page("shop.name"), {"value": "Voxel"})
    before = superadmin.get(reverse("admin:core_setting_changelist")).content.decode()
    superadmin.post(setting_page("shop.name"), {"value": ""})
    after = superadmin.get(reverse("admin:core_setting_changelist")).content.decode()

    assert site_settings.get("shop.name") == "NodeByte"
    assert after.count("(default)") == before.count("(default)") + 1


def test_settings_list_every_key_and_only_registered_ones_open(superadmin: Client) -> None:
    page = superadmin.get(reverse("admin:core_setting_changelist")).content.decode()

    assert all(definition.key in page for definition in site_settings.definitions())
    assert page.index("Where customers can write.") < page.index("shop.support_email")  # headed by its meaning
    assert superadmin.get(setting_page("shop.nonsense")).status_code == 404


def test_support_cannot_change_settings(staff: Callable[[str], Client]) -> None:
    assert staff(permissions.SUPPORT).post(setting_page("shop.name"), {"value": "x"}).status_code == 403


def test_a_coupon_is_typed_in_decimals_and_what_does_not_go_together_is_said(superadmin: Client) -> None:
    add = reverse("admin:catalog_coupon_add")

    save(superadmin, add, code="FLAT25K", amount_minor="25000", minimum_minor="100000", currency="idr", duration="once")

    coupon = Coupon.objects.get()
    assert (coupon.amount_minor, coupon.minimum_minor, coupon.currency) == (2_500_000, 10_000_000, "IDR")
    assert filled(superadmin, page_of(coupon))["amount_minor"] == "25000.00"
    wrong: tuple[tuple[dict[str, str], str], ...] = (
        ({"percent": "10", "amount_minor": "5", "currency": "USD"}, "percent"),
        ({}, "percent"),
        ({"percent": "10", "duration": "periods"}, "periods"),
        ({"amount_minor": "5"}, "currency"),
        ({"amount_minor": "0.001", "currency": "USD"}, "amount_minor"),
        ({"amount_minor": "5", "cap_minor": "5", "currency": "USD"}, "cap_minor"),
        ({"percent": "10", "code": "flat25k"}, "__all__"),
    )
    for data, field in wrong:
        answer = superadmin.post(add, filled(superadmin, add, **({"code": "X", "duration": "once"} | data)))
        assert list(answer.context["adminform"].form.errors) == [field], data


def test_a_plan_is_active_only_with_a_price_and_its_cost_is_typed_in_decimals(superadmin: Client) -> None:
    plan = make_plan(is_active=False)
    address = page_of(plan)

    refused = superadmin.post(address, filled(superadmin, address, is_active="on"))
    offer(superadmin, plan, is_active="on")
    save(superadmin, address, cost_minor="4.50", cost_currency="usd")

    assert "offer a price" in str(refused.context["adminform"].form.errors["is_active"])
    plan.refresh_from_db()
    assert (plan.cost_minor, plan.cost_currency) == (450, "USD")
    addon = make_addon()
    save(superadmin, page_of(addon), cost_minor="0.40", cost_currency="usd")
    addon.refresh_from_db()
    assert (addon.cost_minor, addon.cost_currency) == (40, "USD")


def test_credit_is_given_by_form_and_what_cannot_be_given_is_said_beside_its_field(
    staff: Callable[[str], Client],
) -> None:
    client, organization = staff(permissions.BILLING), make_organization()
    address = reverse("admin:billing_creditgrant_add")
    given = {"organization": organization.pk, "amount_minor": "5.00", "currency": "USD", "reason": "sorry"}
    tomorrow = {"expires_at_0": "2999-01-01", "expires_at_1": "00:00"}
    for wrong, field in (
        ({"amount_minor": "0"}, "amount_minor"),
        ({"amount_minor": "-5"}, "amount_minor"),
        ({"amount_minor": "1.234"}, "amount_minor"),
        ({"currency": "usdollar"}, "currency"),
        ({"reason": ""}, "reason"),
        ({"kind": "wallet"} | tomorrow, "expires_at"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "expires_at"),
    ):
        response = client.post(address, filled(client, address, **given | wrong))
        assert response.status_code == 200, wrong
        assert field in response.context["adminform"].form.errors, wrong

    twice = filled(client, address, **given | tomorrow)
    for _time in range(2):  # a doubled submit
        assert client.post(address, twice).status_code == 302
    save(client, address, **given | {"kind": "wallet"})

    promotional, wallet = CreditGrant.objects.order_by("created_at")
    assert (promotional.remaining_minor, wallet.remaining_minor, balance(AccountKind.WALLET)) == (500, 0, 500)
    assert AuditEntry.objects.filter(action="creditgrant.add").count() == 2
    page = client.get(reverse("admin:billing_creditgrant_change", args=[promotional.pk])).content.decode()
    assert "sorry" in page
    run(client, promotional, "end")
    assert promotional.reload().expires_at < promotional.reload().updated_at  # type: ignore[operator]
