"""Every table is in the admin; its pages open, show no secret, and make as many queries for many rows as for one."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from billing.models import LedgerAccount
from core import site_settings
from core.models import Setting
from tests.admin.rows import SECRET, Rows
from tests.billing.sales import make_sale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_menu")]
REGISTERED = sorted(
    (model for model in admin.site._registry if model is not Setting), key=lambda model: model._meta.label
)

# Their rows' titles name a server, a user or an organization.
NAMED_APPS = {"accounts", "catalog", "orders", "servers", "support"}
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


def url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def first_row(model: Any) -> Any:
    """The row that all the others belong to."""
    return model._default_manager.order_by("pk").first()


def queries(client: Client, address: str) -> tuple[int, str]:
    """How many queries the page makes, and what it shows."""
    site_settings.clear_cache()  # or one page in a while would ask for them again
    with CaptureQueriesContext(connection) as asked:
        response = client.get(address)
    assert response.status_code == 200, address
    return len(asked), response.content.decode()


def test_every_table_of_ours_is_in_the_admin() -> None:
    ours = {model for model in apps.get_models() if hasattr(model._meta.app_config, "is_nodebyte")}

    assert not {model._meta.label for model in ours} - {model._meta.label for model in admin.site._registry}


@pytest.fixture
def opened(superadmin: Client) -> Any:
    """Opens every list and first change page; the queries made and the text shown, by page."""

    def open_all() -> dict[str, tuple[int, str]]:
        client, found = superadmin, {}
        client.get(reverse("admin:index"))  # warms what is remembered for longer than a request
        for model in REGISTERED:
            row = first_row(model)
            assert row is not None, f"no row of {model._meta.label} to look at"
            found[f"{model._meta.label} list"] = queries(client, url(model, "changelist"))
            found[f"{model._meta.label} page"] = queries(client, url(model, "change", quote(row.pk)))
            found[f"{model._meta.label} history"] = queries(client, url(model, "history", quote(row.pk)))
        return found

    return open_all


def measured(count: int, opened: Any) -> dict[str, tuple[int, str]]:
    """The pages with `count` rows in every table, rolled back afterwards."""
    with transaction.atomic():
        Rows(count)
        found: dict[str, tuple[int, str]] = opened()
        transaction.set_rollback(True)
    return found


def test_pages_make_as_many_queries_for_many_rows_as_for_one_and_show_no_secret(opened: Any) -> None:
    few, many = measured(1, opened), measured(4, opened)

    assert not {page: (few[page][0], many[page][0]) for page in few if many[page][0] > few[page][0]}
    assert not [page for page, (_asked, text) in many.items() if SECRET in text]


@pytest.mark.parametrize(
    "model", [model for model in REGISTERED if model._meta.app_label in NAMED_APPS], ids=lambda model: model._meta.label
)
def test_a_row_is_titled_by_what_it_is_and_not_by_an_id(model: Any) -> None:
    Rows(1)

    assert not UUID_TEXT.search(str(first_row(model)))


@pytest.mark.parametrize(
    "model", [model for model in REGISTERED if model._meta.app_label == "orders"], ids=lambda model: model._meta.label
)
def test_what_belongs_to_an_order_is_named_and_only_its_own_id_is_written_out(superadmin: Client, model: Any) -> None:
    Rows(1)
    row = first_row(model)
    for address, own in ((url(model, "changelist"), ""), (url(model, "change", quote(row.pk)), str(row.pk))):
        page = strip_tags(superadmin.get(address).content.decode()).replace(own, "")

        assert not UUID_TEXT.findall(page)


def test_the_ledger_shows_what_is_posted_on_each_account(superadmin: Client) -> None:
    make_sale().settle()

    page = superadmin.get(url(LedgerAccount, "changelist")).content.decode()

    rows = [" ".join(strip_tags(row).split()) for row in page.split("<tr")]
    for kind, amount in (("Revenue", " $8.00 credit"), ("Gateway clearing", " $8.00 debit")):
        assert any(kind in row and row.endswith(amount) for row in rows), rows


def test_rows_can_be_added_only_where_fields_are_declared(superadmin: Client) -> None:
    found = {model: superadmin.get(url(model, "add")).status_code for model in REGISTERED}

    wanted = {model: 200 if getattr(admin.site._registry[model], "addable", ()) else 403 for model in REGISTERED}
    assert found == wanted
    assert {model._meta.label for model, status in wanted.items() if status == 200} == {
        "servers.HytaleAccount",
        *(
            "billing.GatewayAccount",
            "billing.GatewayPrice",
            "billing.InvoiceSeries",
            "billing.CreditGrant",
            "billing.PriceCampaign",
            "billing.TaxRate",
        ),
        *(
            "catalog.Product",
            "catalog.Plan",
            "catalog.Addon",
            "catalog.Image",
            "catalog.Promotion",
            "catalog.Coupon",
            "servers.Provider",
            "servers.Region",
            "servers.Blueprint",
            "servers.BlueprintImage",
        ),
    }


def test_nothing_can_be_deleted(superadmin: Client) -> None:
    Rows(1)
    found = {}
    for model in REGISTERED:
        row = first_row(model)
        status = superadmin.post(url(model, "delete", quote(row.pk)), {"post": "yes"}).status_code
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        superadmin.post(url(model, "changelist"), chosen)
        found[model] = (status, model._default_manager.filter(pk=row.pk).exists())

    assert set(found.values()) == {(403, True)}


def test_odd_queries_to_a_list_do_not_break_it(superadmin: Client) -> None:
    Rows(1)
    odd = ("q=%00", "q=1e309&o=999", "p=-1", "state=nonsense", "id__exact=x")

    broken = [
        f"{model._meta.label}?{asked[:20]}"
        for model in REGISTERED
        for asked in odd
        if superadmin.get(f"{url(model, 'changelist')}?{asked}", follow=True).status_code not in {200, 400}
    ]

    assert not broken
