"""Compiled queries: built once, they find what the queryset finds, for the role and the values of each call."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import models

from accounts import queries
from accounts.models import Membership, Organization, Role, User
from accounts.permissions import Access, Action
from core import tenancy
from core.compiled import NotAParameter, compiled
from core.pages import paged
from tests.builders import make_organization, make_user

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_compiled_query_is_built_once_and_finds_the_rows_of_each_call() -> None:
    built: list[User] = []

    def build(user: User) -> "models.QuerySet[Membership]":
        built.append(user)
        return queries.memberships_of(user)

    memberships_of = compiled(build)
    users = [make_user(), make_user()]

    for user in users:
        (membership,) = memberships_of(user)
        assert membership.organization == make_organization(user)
    assert len(built) == 2  # both before the first call: see `_built`
    assert users[0] not in built


def test_how_many_values_a_list_has_makes_it_another_query() -> None:
    def build(access: Access, action: Action) -> "models.QuerySet[Organization]":
        return Organization.objects.filter(pk__in=access.organizations(action)).order_by("pk")

    visible = compiled(build)
    organizations = sorted((make_organization() for _ in range(3)), key=lambda each: each.pk)
    roles = {each.pk: Role.OWNER for each in organizations}

    assert visible(Access(None, roles), Action.ORDER_VIEW) == organizations
    assert visible(Access(None, dict(list(roles.items())[:2])), Action.ORDER_VIEW) == organizations[:2]
    assert visible(Access(None, dict.fromkeys(roles, Role.MEMBER)), Action.ORDER_VIEW) == []


def test_rows_have_the_form_that_the_queryset_gives_them() -> None:
    user = make_user()
    users = User.objects.values_list("email", flat=True)

    assert compiled(lambda pk: users.filter(pk=pk))(user.pk) == [user.email]
    assert compiled(lambda pk: users.filter(pk=pk).values_list("email", "locale"))(user.pk) == [(user.email, "en")]
    assert compiled(lambda pk: users.filter(pk=pk).values("locale"))(user.pk) == [{"locale": "en"}]


def test_a_list_is_read_by_pages_of_which_each_is_known_by_its_number() -> None:
    users = sorted((make_user(locale="de") for _ in range(5)), key=lambda user: user.email)
    found = paged(lambda locale: User.objects.filter(locale=locale).order_by("email"), 2)

    pages = [found(number, "de") for number in (None, "1", "2", "3", "9", "x")]

    assert [page.object_list for page in pages] == [users[:2], users[:2], users[2:4], users[4:], users[4:], users[:2]]
    assert {page.paginator.num_pages for page in pages} == {3}
    assert found(None, "fr").object_list == []


def test_a_value_that_is_not_used_as_it_is_is_refused() -> None:
    def shifted(at: datetime) -> "models.QuerySet[Session]":
        return Session.objects.filter(expire_date__gt=at, expire_date__lt=at + timedelta(days=1))

    with pytest.raises(NotAParameter):
        compiled(shifted)(AT)


def test_what_the_worker_read_first_gives_customers_no_hidden_column() -> None:
    user = make_user()
    by_id = compiled(lambda pk: User.objects.filter(pk=pk))
    (read_by_worker,) = by_id(user.pk)

    with tenancy.as_role(role=tenancy.CUSTOMER, user_id=user.pk):
        (read_by_customer,) = by_id(user.pk)

    assert "password" not in read_by_worker.get_deferred_fields()
    assert read_by_customer.get_deferred_fields() == {"password"}
