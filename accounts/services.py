"""Writes about users and organizations."""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import models
from django.utils.text import slugify

from accounts import vat
from accounts.models import BILLING_FIELDS, Membership, Organization, Role, User, UserStatus
from core import audit, site_settings, tenancy
from core.ids import uuid7

NAME_LENGTH = 120
SIGN_IN_MARGIN = timedelta(days=1)  # allauth lists a new session shortly before Django stores it
DESTINATION = "after_sign_up"  # in a user's preferences
PROFILE_FIELDS = ("first_name", "last_name", "phone", "timezone", "locale")


def ensure_personal_organization(*, user: User) -> Organization:
    """The user's own organization, created at sign-up. Calling it twice is harmless."""
    with tenancy.as_worker():
        organization, is_new = Organization.objects.get_or_create(
            owner=user,
            is_personal=True,
            defaults={
                "name": user.full_name[:NAME_LENGTH],
                "slug": f"{slugify(user.email.split('@')[0])[:40] or 'customer'}-{uuid7().hex[-8:]}",
                "billing_email": user.email,
                "currency": site_settings.get("shop.currency"),
            },
        )
        if is_new:
            Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
            audit.record(action="organization.create", entity=organization, organization=organization, actor=user)
    return organization


def invite_user(*, email: str, actor: User | None, at: datetime) -> User:
    """A new user without a password: who can read their mail signs in by "Forgot password", which confirms it."""
    with tenancy.as_worker():
        user = User.objects.create_user(email, None)
        EmailAddress.objects.create(user=user, email=user.email, verified=False, primary=True)
        audit.record(action="user.invite", entity=user, actor=actor, new={"email": user.email}, at=at)
    return user


class CurrencyFixed(Exception):
    """The organization pays in another currency, `currency`, since its first order."""

    def __init__(self, currency: str) -> None:
        super().__init__(f"the organization pays in {currency}")
        self.currency = currency


def fix_currency(*, organization: Organization, currency: str, at: datetime) -> None:
    """Its first order, in the caller's transaction, chooses the organization's currency. Raises CurrencyFixed later.

    Of two first orders at once the second waits for the first.
    """
    with tenancy.as_worker():
        rows = Organization.objects.filter(pk=organization.pk)
        if not rows.filter(currency_fixed_at=None).update(currency=currency, currency_fixed_at=at):
            fixed = rows.values_list("currency", flat=True).get()
            if fixed != currency:
                raise CurrencyFixed(fixed)


def verify_email(*, user: User) -> None:
    """The user confirmed the address: a pending account becomes active."""
    with tenancy.as_worker():
        pending = User.objects.filter(pk=user.pk, status=UserStatus.PENDING_VERIFICATION)
        if pending.update(status=UserStatus.ACTIVE):
            user.status = UserStatus.ACTIVE
            audit.record(action="user.verify_email", entity=user, actor=user)


def take_destination(*, user: User) -> str:
    """The page that the user was going to when they signed up: once, then an empty text."""
    if DESTINATION not in user.preferences:
        return ""
    with tenancy.as_worker(user):
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        destination = row.preferences.pop(DESTINATION, "")
        User.objects.filter(pk=row.pk).update(preferences=row.preferences)
    return str(destination)


def change_profile(*, user: User, fields: dict[str, Any], actor: User) -> None:
    """Store the profile fields that users may change about themselves."""
    allowed = {name: fields[name] for name in PROFILE_FIELDS if name in fields}
    _update_with_audit(user, allowed, "user.change_profile", actor)


def change_billing_contact(*, organization: Organization, fields: dict[str, Any], actor: User) -> None:
    """Store the address of the next invoices, and whether its tax ID is a VAT ID; issued invoices keep theirs."""
    allowed = {name: fields[name] for name in BILLING_FIELDS if name in fields}
    country, tax_id = (allowed.get(name, getattr(organization, name)) for name in ("country", "tax_id"))
    vat_id = vat.vat_id(tax_id, country)
    allowed |= {"tax_id": vat_id or tax_id, "has_vat_id": bool(vat_id)}
    _update_with_audit(organization, allowed, "organization.change_billing_contact", actor)


def _update_with_audit(row: User | Organization, fields: dict[str, Any], action: str, actor: User) -> None:
    old = {name: getattr(row, name) for name in fields}
    new = {name: value for name, value in fields.items() if old[name] != value}
    if not new:
        return
    with tenancy.as_worker(row):
        row._meta.model._default_manager.filter(pk=row.pk).update(**new)  # a request's user is only a proxy of its type
        audit.record(action=action, entity=row, actor=actor, old={name: old[name] for name in new}, new=new)
    for name, value in new.items():
        setattr(row, name, value)


def suspend_user(*, user: User, reason: str, actor: User | None, at: datetime) -> bool:
    """Suspend at once: no sign-in, and every session ends now. False when suspended or deleted already."""
    with tenancy.as_worker():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if row.status not in {UserStatus.ACTIVE, UserStatus.PENDING_VERIFICATION}:
            return False
        _set_status(row, UserStatus.SUSPENDED, "user.suspend", reason, actor, at)
        end_sessions(user=row)
    user.status = UserStatus.SUSPENDED
    return True


def reactivate_user(*, user: User, reason: str = "", actor: User | None, at: datetime) -> bool:
    """Lift a suspension; the user may still have to confirm an address. False when not suspended."""
    with tenancy.as_worker():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if row.status != UserStatus.SUSPENDED:
            return False
        is_verified = EmailAddress.objects.filter(user=row, verified=True).exists()
        status = UserStatus.ACTIVE if is_verified else UserStatus.PENDING_VERIFICATION
        _set_status(row, status, "user.reactivate", reason, actor, at)
    user.status = status
    return True


def _set_status(row: User, status: UserStatus, action: str, reason: str, actor: User | None, at: datetime) -> None:
    old = row.status
    User.objects.filter(pk=row.pk).update(status=status)
    audit.record(
        action=action, entity=row, actor=actor, old={"status": old}, new={"status": status, "reason": reason}, at=at
    )


def end_sessions(*, user: User) -> int:
    """Sign the user out everywhere; returns the number of sessions."""
    with tenancy.as_worker():
        sessions = list(UserSession.objects.filter(user=user))
        for session in sessions:
            session.end()
    return len(sessions)


def delete_ended_sessions(*, at: datetime) -> int:
    """Delete expired sessions and the list of devices they were used from; returns the number of sessions."""
    with tenancy.as_worker():
        _, deleted = Session.objects.filter(expire_date__lt=at).delete()
        live = Session.objects.filter(session_key=models.OuterRef("session_key"))
        UserSession.objects.filter(~models.Exists(live), created_at__lt=at - SIGN_IN_MARGIN).delete()
    return deleted.get(Session._meta.label, 0)
