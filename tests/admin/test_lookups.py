"""A list is filtered by what its admin declares, and by nothing else: a filter answers yes or no about any column."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts import permissions
from accounts.models import User
from core.encryption import EncryptedField
from core.masking import is_secret_name
from core.models import Setting
from tests.admin.conftest import signed_in_user

pytestmark = pytest.mark.django_db
USERS = reverse("admin:accounts_user_changelist")
# Each tells something about a value: what it begins with, what it is greater than, whether it is there.
LOOKUPS = ("", "__startswith", "__regex", "__gt", "__in", "__isnull")


def fields_within_reach(model: type[models.Model]) -> Iterator[tuple[str, Any]]:
    """Every field of the model, and of each model that it is related to, as the path of a lookup."""
    for field in model._meta.get_fields():
        yield field.name, field
        related = field.related_model
        if isinstance(related, type) and issubclass(related, models.Model):
            for inner in related._meta.get_fields():
                yield f"{field.name}__{inner.name}", inner


def declared_paths(model_admin: "ModelAdmin[Any]") -> set[str]:
    """The paths that the admin offers as a filter."""
    filters = [entry[0] if isinstance(entry, tuple) else entry for entry in model_admin.list_filter]
    return {path for path in (*filters, model_admin.date_hierarchy) if isinstance(path, str)}


def request_of(user: User, lookup: str = "") -> HttpRequest:
    """A request for a list."""
    request = RequestFactory().get("/", {lookup: "a"} if lookup else {})
    request.user = user
    return request


@pytest.mark.parametrize("role", permissions.STAFF_ROLES)
def test_no_role_filters_a_list_by_a_field_that_is_not_declared(staff: Callable[[str], Client], role: str) -> None:
    user, answered = signed_in_user(staff(role)), []

    for model, model_admin in admin.site._registry.items():
        if model is Setting:  # its list is of what is registered, and looks at no query
            continue
        if not model_admin.has_view_or_change_permission(request_of(user)):
            with pytest.raises(PermissionDenied):
                model_admin.changelist_view(request_of(user))
            continue
        declared = declared_paths(model_admin)
        for path, _field in fields_within_reach(model):
            # Of a declared field, the values that its filter offers may be asked for, and no part of one.
            lookups = [f"{path}{lookup}" for lookup in (LOOKUPS[1:4] if path in declared else LOOKUPS)]
            allowed = [each for each in lookups if model_admin.lookup_allowed(each, "a", request_of(user))]
            answered += [f"{model._meta.label}?{each}" for each in allowed]

    assert not answered


def test_a_password_hash_cannot_be_guessed_letter_by_letter(staff: Callable[[str], Client]) -> None:
    client = staff(permissions.SUPPORT)

    assert client.get(USERS, {"password__startswith": "md5$"}).status_code == 400
    assert client.get(USERS, {"groups__user__password__startswith": "md5$"}).status_code == 400


def test_what_a_list_offers_still_filters_it(superadmin: Client) -> None:
    user = User.objects.get()

    for query in ("status__exact=active", "is_staff__exact=1", f"groups__id__exact={user.groups.get().pk}"):
        page = superadmin.get(f"{USERS}?{query}")
        assert page.status_code == 200
        assert user.email in page.content.decode()


def test_no_list_is_searched_by_a_secret() -> None:
    for model, model_admin in admin.site._registry.items():
        fields = dict(fields_within_reach(model))
        for name in model_admin.search_fields:
            path = name.lstrip("=^@")
            last = path.rpartition("__")[2]
            assert not isinstance(fields.get(path), EncryptedField), path
            assert last in {"key", "idempotency_key"} or not is_secret_name(last), path
