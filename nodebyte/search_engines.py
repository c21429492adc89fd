"""What search engines ask for beside the pages: robots.txt, sitemap.xml and an icon."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from catalog.models import Product
from core import tenancy

# Pages of one customer, of staff, or that only a form leads to.
NOT_CRAWLED = (
    "/accounts/",
    "/admin/",
    "/billing-address/",
    "/credit-notes/",
    "/dashboard/",
    "/health/",
    "/invoices/",
    "/orders/",
    "/products/*/configure/",
    "/profile/",
    "/ssh-keys/",
    "/servers/",
    "/subscriptions/",
    "/wallet/",
    "/webhooks/",
)


@tenancy.non_atomic_view
@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """What crawlers leave out, and where the list of pages is."""
    rules = [f"Disallow: {path}" for path in NOT_CRAWLED]
    lines = ["User-agent: *", *rules, f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")


@require_safe
def sitemap(request: HttpRequest) -> HttpResponse:
    """The shop's public pages by their full address."""
    pages = [{"location": f"{settings.SITE_URL}{reverse(name)}"} for name in ("home", "storefront:products")]
    products = Product.objects.filter(is_active=True).order_by("position", "name").values_list("slug", "updated_at")
    pages += [
        {
            "location": f"{settings.SITE_URL}{reverse('storefront:product', kwargs={'slug': slug})}",
            "changed_on": updated_at.date().isoformat(),
        }
        for slug, updated_at in products
    ]
    return render(request, "nodebyte/sitemap.xml", {"pages": pages}, content_type="application/xml")


@tenancy.non_atomic_view
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """The icon, for what asks at the usual address without reading a page."""
    return redirect(static("favicon.svg"))
