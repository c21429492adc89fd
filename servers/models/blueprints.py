"""Blueprints: how a plan is built at a provider, and in which regions."""

from typing import Any
from uuid import UUID

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Image, Plan, Product
from core import tenancy
from core.models import Entity, Timestamped, choices_check
from servers.models.eggs import Egg
from servers.models.nodes import TAGS
from servers.models.providers import Provider
from servers.models.regions import Region


class Build(models.TextChoices):
    GAME = "game", _("Game, from an egg")
    MACHINE = "machine", _("Machine, of a provider's plan")
    CONTAINER = "container", _("Container, from an image")


class QueryProtocol(models.TextChoices):
    """The language in which a game says who plays."""

    NONE = "none", _("None")
    MINECRAFT_JAVA = "minecraft_java", _("Minecraft: Java Edition")
    MINECRAFT_BEDROCK = "minecraft_bedrock", _("Minecraft: Bedrock Edition")
    SOURCE = "source", _("Source (Valve's games and many on Steam)")


class Blueprint(Entity, Timestamped):
    """How a product's plans are built at one provider: as games, machines or containers.

    A blueprint for one plan takes precedence over its product's at the same provider. Of several providers the one with
    the lowest position is taken that has capacity in the region.
    """

    tenancy = tenancy.SHARED
    hidden_fields = ("environment", "user_data")

    name = models.CharField(max_length=100, unique=True)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="blueprints")
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="blueprints",
        verbose_name=_("plan"),
        help_text=_("Empty: every plan of the product. A machine names one: its size is the provider's."),
    )
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="blueprints")
    build = models.CharField(_("build"), max_length=10, choices=Build, default=Build.GAME)
    egg = models.ForeignKey(Egg, null=True, blank=True, on_delete=models.PROTECT, related_name="blueprints")
    plan_ref = models.CharField(
        _("provider's plan"),
        max_length=64,
        blank=True,
        default="",
        help_text=_(
            "For machines: the provider's own name of the size. Servers that are sold already keep the one they have."
        ),
    )
    image = models.CharField(
        _("image"),
        max_length=191,
        blank=True,
        default="",
        help_text=_(
            "A game's Docker image (empty: the egg's default), a machine's operating system, a container's image."
        ),
    )
    startup = models.TextField(
        _("start-up command"), blank=True, default="", help_text=_("Empty: the egg's or the image's own.")
    )
    user_data = models.TextField(
        _("user data"), blank=True, default="", help_text=_("For machines: what runs at the first boot.")
    )
    container_ports: Any = models.JSONField(
        _("ports of the container"),
        default=list,
        blank=True,
        help_text=_("The ports that its program listens on, such as [80, 443]."),
    )
    volumes: Any = models.JSONField(
        _("volumes of the container"),
        default=list,
        blank=True,
        help_text=_('The folders that are kept, such as ["/data"].'),
    )
    environment: Any = models.JSONField(
        _("environment variables"),
        default=dict,
        blank=True,
        help_text=_("Override the egg's defaults. {{secret}} becomes a new password for each server."),
    )
    regions = models.ManyToManyField(
        Region,
        related_name="blueprints",
        blank=True,
        help_text=_("None chosen: every region where the provider has a location."),
        verbose_name=_("regions"),
    )
    required_tags = models.CharField(
        _("required tags"),
        max_length=191,
        blank=True,
        default="",
        validators=[TAGS],
        help_text=_("Only nodes with all of these tags are taken. Words with spaces between them."),
    )
    preferred_tags = models.CharField(
        _("preferred tags"),
        max_length=191,
        blank=True,
        default="",
        validators=[TAGS],
        help_text=_("Nodes with more of these tags are taken first."),
    )
    position = models.PositiveIntegerField(
        _("position"), default=0, help_text=_("Of several providers the one with the lowest number is tried first.")
    )
    install_minutes = models.PositiveIntegerField(
        _("installation limit (minutes)"), default=30, help_text=_("An installation that takes longer has failed.")
    )
    query_protocol = models.CharField(
        _("query protocol"),
        max_length=20,
        choices=QueryProtocol,
        default=QueryProtocol.NONE,
        help_text=_("How the game is asked for its players. Its customers then also get a link by which they join."),
    )
    query_port = models.CharField(
        _("query port"),
        max_length=64,
        blank=True,
        default="",
        validators=[RegexValidator(r"^(\+[1-9]\d{0,3}|[A-Z_][A-Z0-9_]*)\Z", _("Such as +1 or QUERY_PORT."))],
        help_text=_(
            "Empty: the server's main port. +1: so many above it. QUERY_PORT: the port that this variable names. "
            "Only a port of the server itself is asked."
        ),
    )
    problem = models.TextField(
        _("problem"),
        blank=True,
        default="",
        editable=False,
        help_text=_("Why nothing can be built from it. It is not sold until that is mended."),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("blueprint")
        verbose_name_plural = _("blueprints")
        constraints = [
            models.UniqueConstraint(
                fields=["product", "plan", "provider"],
                condition=models.Q(is_active=True),
                nulls_distinct=False,
                name="servers_blueprint_one_active",
            ),
            choices_check("servers_blueprint_build_known", "build", Build),
            choices_check("servers_blueprint_query_known", "query_protocol", QueryProtocol),
            models.CheckConstraint(
                name="servers_blueprint_shape",
                condition=models.Q(
                    build=Build.GAME, egg__isnull=False, plan_ref="", user_data="", container_ports=[], volumes=[]
                )
                | models.Q(
                    build=Build.MACHINE,
                    egg__isnull=True,
                    startup="",
                    environment={},
                    container_ports=[],
                    volumes=[],
                    query_protocol=QueryProtocol.NONE,
                    query_port="",
                    plan__isnull=False,
                    plan_ref__gt="",
                    image__gt="",
                )
                | models.Q(build=Build.CONTAINER, egg__isnull=True, plan_ref="", user_data="", image__gt=""),
            ),
        ]

    def is_for(self, region_id: UUID) -> bool:
        """Whether it may be used in the region."""
        chosen = {region.pk for region in self.regions.all()}
        return not chosen or region_id in chosen

    def __str__(self) -> str:
        return self.name


class BlueprintImage(Entity, Timestamped):
    """An image that customers may choose for the machines of a blueprint, by the provider's own name."""

    tenancy = tenancy.SHARED

    blueprint = models.ForeignKey(Blueprint, on_delete=models.CASCADE, related_name="images", db_index=False)
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="blueprints", verbose_name=_("image"))
    ref = models.CharField(_("provider's image"), max_length=191, help_text=_("As the provider names it."))

    class Meta:
        verbose_name = _("blueprint's image")
        verbose_name_plural = _("blueprint's images")
        constraints = [models.UniqueConstraint(fields=["blueprint", "image"], name="servers_blueprint_image_once")]

    def __str__(self) -> str:
        return str(self.image)
