"""Regions: where the shop sells servers."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import formats, tenancy
from core.models import Entity, Timestamped


class Region(Entity, Timestamped):
    """Where customers order servers, whichever providers have locations there."""

    tenancy = tenancy.SHARED

    code = models.SlugField(
        _("code"), max_length=32, unique=True, help_text=_("Part of web addresses, such as eu-central.")
    )
    city = models.CharField(_("city"), max_length=100, help_text=_("As customers read it."))
    country = models.CharField(
        _("country"),
        max_length=2,
        blank=True,
        default="",
        validators=[RegexValidator(r"^[A-Z]{2}$", _("Enter the code of a country in capitals, such as DE."))],
        help_text=_("The code of a country, such as DE."),
    )
    latitude = models.DecimalField(
        _("latitude"),
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(-90), MaxValueValidator(90)],
        help_text=_(
            "In degrees, north of the equator positive: 50.4779 for Falkenstein. With the longitude, customers see the "
            "region on a map."
        ),
    )
    longitude = models.DecimalField(
        _("longitude"),
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(-180), MaxValueValidator(180)],
        help_text=_("In degrees, east of Greenwich positive: 12.3713 for Falkenstein, -77.4875 for Ashburn."),
    )
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Only active regions are sold."))
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))

    class Meta:
        verbose_name = _("region")
        verbose_name_plural = _("regions")
        ordering = ["position", "city", "code"]
        constraints = [
            models.CheckConstraint(
                name="servers_region_on_earth",
                condition=models.Q(latitude__isnull=True, longitude__isnull=True)
                | models.Q(
                    latitude__isnull=False,  # a CHECK lets a comparison with null pass
                    latitude__range=(-90, 90),
                    longitude__isnull=False,
                    longitude__range=(-180, 180),
                ),
                violation_error_message=_("Enter both the latitude and the longitude, or neither."),
            )
        ]

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.city, formats.country(self.country)]))
