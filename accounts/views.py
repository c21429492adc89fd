"""The user's own pages."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts import ssh_keys as keys
from accounts.forms import OFFERED_TIME_ZONES, BillingAddressForm, ProfileForm, SshKeyForm
from accounts.models import Organization, SshKey, User
from accounts.permissions import Action
from core.ids import uuid_of
from core.pages import render_part


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and change the user's own details."""
    user = cast("User", request.user)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        services.change_profile(user=user, fields=form.cleaned_data, actor=user)
        messages.success(request, _("Saved."))
        return redirect("accounts:profile")
    status = 422 if form.errors else 200
    context = {"form": form, "time_zones": OFFERED_TIME_ZONES}
    return render_part(request, "accounts/profile.html", "form", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def billing_address(request: HttpRequest) -> HttpResponse:
    """Show and change what the current organization's next invoices say of it."""
    organization = request.organization  # type: ignore[attr-defined]
    if not request.access.may(Action.ORGANIZATION_BILL, organization):  # type: ignore[attr-defined]
        raise Http404
    form = BillingAddressForm(request.POST or None, instance=Organization.objects.get(pk=organization.pk))
    if request.method == "POST" and form.is_valid():
        user = cast("User", request.user)
        services.change_billing_contact(organization=organization, fields=form.cleaned_data, actor=user)
        messages.success(request, _("Saved. Your next invoices use this address."))
        return redirect("accounts:billing_address")
    context = {"form": form, "billed": organization}
    return render_part(request, "accounts/billing_address.html", "form", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def ssh_keys(request: HttpRequest) -> HttpResponse:
    """Show the user's SSH keys; a POST keeps one more, or deletes one."""
    user = cast("User", request.user)
    rows = SshKey.objects.filter(user_id=user.pk)
    if "delete" in request.POST:
        key = get_object_or_404(rows, pk=uuid_of(request.POST["delete"]))
        keys.delete_key(key=key, actor=user)
        messages.success(request, _("Deleted. Machines that have this key keep it."))
        return redirect("accounts:ssh_keys")
    form = SshKeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            keys.add_key(user=user, **form.cleaned_data)
        except keys.KeyRefused as error:
            form.add_error("public_key", str(error))
        else:
            messages.success(request, _("Added. You can choose it for your next machine."))
            return redirect("accounts:ssh_keys")
    context = {"form": form, "keys": list(rows)}
    return render_part(request, "accounts/ssh_keys.html", "page", context, status=422 if form.errors else 200)
