"""Users, and the organizations that own everything that costs money."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, choices_check
from core.tenancy.declarations import PERSONAL, custom
from core.text import validate_visible


class UserStatus(StatusChoices):
    PENDING_VERIFICATION = "pending_verification", Tone.WARNING, _("Waiting for email verification")
    ACTIVE = "active", Tone.SUCCESS, _("Active")
    SUSPENDED = "suspended", Tone.WARNING, _("Suspended")
    DELETED = "deleted", Tone.NEUTRAL, _("Deleted")


CAN_SIGN_IN = (UserStatus.ACTIVE, UserStatus.PENDING_VERIFICATION)


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address and finds them regardless of its case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user with a hashed password; with `None` it cannot sign in by password."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str, **fields: Any) -> "User":
        """A superadmin, for `createsuperuser`."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, status=UserStatus.ACTIVE, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail address, in any case."""
        return self.get(email__iexact=username)


class User(Entity, Timestamped, AbstractBaseUser, PermissionsMixin):
    """Signs in by e-mail address. Customers see themselves and the members of their organizations."""

    tenancy = custom(
        "id = (SELECT app_user()) OR id IN (SELECT user_id FROM accounts_membership"
        " WHERE organization_id = ANY (ARRAY(SELECT unnest(app_organizations()))))"
    )
    hidden_fields = ("password",)

    email = models.EmailField(_("email address"), max_length=191)
    username = models.CharField(_("username"), max_length=64, null=True, blank=True)  # noqa: DJ001 - unique when given
    first_name = models.CharField(_("first name"), max_length=100, blank=True, validators=[validate_visible])
    last_name = models.CharField(_("last name"), max_length=100, blank=True, validators=[validate_visible])
    phone = models.CharField(_("phone"), max_length=32, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")
    locale = models.CharField(_("language"), max_length=16, default="en")
    preferences = models.JSONField(_("preferences"), default=dict, blank=True)
    status = StatusField(max_length=24, choices=UserStatus, default=UserStatus.PENDING_VERIFICATION)
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("Can sign in to the admin."))

    read_memberships: "list[Membership]"  # of the user of a request (`accounts.backends`)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="accounts_user_email_unique"),
            models.UniqueConstraint(Lower("username"), name="accounts_user_username_unique"),
            choices_check("accounts_user_status_known", "status", UserStatus),
        ]

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether the user may sign in. Suspending or deleting a user takes effect at once."""
        return self.status in CAN_SIGN_IN

    @property
    def full_name(self) -> str:
        """First and last name, or the e-mail address where neither is known."""
        return f"{self.first_name} {self.last_name}".strip() or self.email

    @cached_property
    def role_names(self) -> frozenset[str]:
        """The names of the user's staff roles (`accounts.permissions`)."""
        return frozenset(self.groups.values_list("name", flat=True))

    def __str__(self) -> str:
        return self.email


BILLING_FIELDS = ("billing_name", "billing_email", "address_line", "postal_code", "city", "region", "country", "tax_id")


class Organization(Entity, Timestamped):
    """The owner of servers, invoices and money. Every user has a personal one."""

    tenancy = custom("id = ANY (ARRAY(SELECT unnest(app_organizations())))")

    name = models.CharField(_("name"), max_length=120, validators=[validate_visible])
    slug = models.SlugField(max_length=64, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="owned_organizations")
    is_personal = models.BooleanField(_("personal"), default=False, help_text=_("Created with its owner's account."))
    billing_name = models.CharField(_("billing name"), max_length=191, blank=True, validators=[validate_visible])
    billing_email = models.EmailField(_("billing email"), max_length=191, blank=True)
    address_line = models.CharField(_("street and number"), max_length=191, blank=True, validators=[validate_visible])
    postal_code = models.CharField(_("postal code"), max_length=32, blank=True)
    city = models.CharField(_("city"), max_length=100, blank=True, validators=[validate_visible])
    region = models.CharField(_("region"), max_length=100, blank=True, validators=[validate_visible])
    country = models.CharField(_("country"), max_length=2, blank=True)
    tax_id = models.CharField(_("tax ID"), max_length=32, blank=True)
    has_vat_id = models.BooleanField(
        _("VAT ID is valid"),
        default=False,
        editable=False,
        help_text=_("The tax ID is a VAT ID of the country, and its check digits are right. Tax depends on it."),
    )
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    currency_fixed_at = models.DateTimeField(
        _("currency fixed at"), null=True, blank=True, help_text=_("Its first order chose the currency for good.")
    )
    settings = models.JSONField(default=dict, blank=True)
    members = models.ManyToManyField(User, through="accounts.Membership", related_name="organizations")

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")
        constraints = [
            models.CheckConstraint(
                name="accounts_organization_currency_iso", condition=models.Q(currency__regex="^[A-Z]{3}$")
            ),
            models.CheckConstraint(
                name="accounts_organization_country_iso", condition=models.Q(country__regex="^([A-Z]{2})?$")
            ),
            models.CheckConstraint(
                name="accounts_organization_vat_id_of_country",
                condition=models.Q(has_vat_id=False) | ~models.Q(tax_id="") & ~models.Q(country=""),
            ),
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(is_personal=True), name="accounts_one_personal_organization"
            ),
        ]

    @property
    def billing_details(self) -> dict[str, str]:
        """Who is billed and where, as documents keep it."""
        return {name: getattr(self, name) for name in BILLING_FIELDS}

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MEMBER = "member", _("Member")


class AccessLevel(models.TextChoices):
    """What a plain member may do with one server (`accounts.permissions`); each level includes the one before it."""

    VIEW = "view", _("View")
    OPERATE = "operate", _("Operate")
    MANAGE = "manage", _("Manage")


class Membership(Entity, Timestamped):
    """A user's role in an organization. Plain members see nothing of it but servers that they were given access to."""

    tenancy = custom(
        "organization_id = ANY (ARRAY(SELECT unnest(app_organizations()))) OR user_id = (SELECT app_user())"
    )

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="memberships", db_index=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="accounts_membership_once"),
            choices_check("accounts_membership_role_known", "role", Role),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}: {self.get_role_display()}"


class SshKey(Entity, Timestamped):
    """A public key by which a user signs in to machines. Machines are built with the keys that are chosen then."""

    tenancy = PERSONAL

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="ssh_keys", db_index=False)
    name = models.CharField(_("name"), max_length=64, validators=[validate_visible])
    public_key = models.TextField(_("public key"), help_text=_("Its type and the key itself, without a comment."))
    fingerprint = models.CharField(_("fingerprint"), max_length=50, help_text=_("SHA-256, as ssh-keygen -l shows it."))

    class Meta:
        verbose_name = _("SSH key")
        verbose_name_plural = _("SSH keys")
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "fingerprint"], name="accounts_ssh_key_once"),
            # It becomes a line of authorized_keys, where options before it or a second line would be obeyed.
            models.CheckConstraint(
                name="accounts_ssh_key_is_one_line",
                condition=models.Q(
                    public_key__regex=r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]{3}) [A-Za-z0-9+/]+=*$"
                ),
            ),
        ]

    @property
    def line(self) -> str:
        """The key with its name, as a line of authorized_keys."""
        return f"{self.public_key} {self.name}"

    def __str__(self) -> str:
        return self.name
