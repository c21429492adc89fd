import core.ids
import core.text
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('email', models.EmailField(max_length=191, verbose_name='email address')),
                ('username', models.CharField(blank=True, max_length=64, null=True, verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=100, validators=[core.text.validate_visible], verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=100, validators=[core.text.validate_visible], verbose_name='last name')),
                ('phone', models.CharField(blank=True, max_length=32, verbose_name='phone')),
                ('timezone', models.CharField(default='UTC', max_length=64, verbose_name='time zone')),
                ('locale', models.CharField(default='en', max_length=16, verbose_name='language')),
                ('preferences', models.JSONField(blank=True, default=dict, verbose_name='preferences')),
                ('status', models.CharField(choices=[('pending_verification', 'Waiting for email verification'), ('active', 'Active'), ('suspended', 'Suspended'), ('deleted', 'Deleted')], default='pending_verification', max_length=24)),
                ('is_staff', models.BooleanField(default=False, help_text='Can sign in to the admin.', verbose_name='staff')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('admin', 'Admin'), ('member', 'Member')], default='member', max_length=8)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'membership',
                'verbose_name_plural': 'memberships',
            },
        ),
        migrations.CreateModel(
            name='Organization',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=120, validators=[core.text.validate_visible], verbose_name='name')),
                ('slug', models.SlugField(max_length=64, unique=True)),
                ('is_personal', models.BooleanField(default=False, help_text="Created with its owner's account.", verbose_name='personal')),
                ('billing_name', models.CharField(blank=True, max_length=191, validators=[core.text.validate_visible], verbose_name='billing name')),
                ('billing_email', models.EmailField(blank=True, max_length=191, verbose_name='billing email')),
                ('address_line', models.CharField(blank=True, max_length=191, validators=[core.text.validate_visible], verbose_name='street and number')),
                ('postal_code', models.CharField(blank=True, max_length=32, verbose_name='postal code')),
                ('city', models.CharField(blank=True, max_length=100, validators=[core.text.validate_visible], verbose_name='city')),
                ('region', models.CharField(blank=True, max_length=100, validators=[core.text.validate_visible], verbose_name='region')),
                ('country', models.CharField(blank=True, max_length=2, verbose_name='country')),
                ('tax_id', models.CharField(blank=True, max_length=32, verbose_name='tax ID')),
                ('has_vat_id', models.BooleanField(default=False, editable=False, help_text='The tax ID is a VAT ID of the country, and its check digits are right. Tax depends on it.', verbose_name='VAT ID is valid')),
                ('currency', models.CharField(default='USD', max_length=3, verbose_name='currency')),
                ('currency_fixed_at', models.DateTimeField(blank=True, help_text='Its first order chose the currency for good.', null=True, verbose_name='currency fixed at')),
                ('settings', models.JSONField(blank=True, default=dict)),
                ('members', models.ManyToManyField(related_name='organizations', through='accounts.Membership', to=settings.AUTH_USER_MODEL)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='owned_organizations', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'organization',
                'verbose_name_plural': 'organizations',
            },
        ),
        migrations.AddField(
            model_name='membership',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to='accounts.organization'),
        ),
        migrations.CreateModel(
            name='SshKey',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=64, validators=[core.text.validate_visible], verbose_name='name')),
                ('public_key', models.TextField(help_text='Its type and the key itself, without a comment.', verbose_name='public key')),
                ('fingerprint', models.CharField(help_text='SHA-256, as ssh-keygen -l shows it.', max_length=50, verbose_name='fingerprint')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='ssh_keys', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'SSH key',
                'verbose_name_plural': 'SSH keys',
                'ordering': ['name', 'pk'],
            },
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='accounts_user_email_unique'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('username'), name='accounts_user_username_unique'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending_verification', 'active', 'suspended', 'deleted'])), name='accounts_user_status_known'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='accounts_organization_currency_iso'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.CheckConstraint(condition=models.Q(('country__regex', '^([A-Z]{2})?$')), name='accounts_organization_country_iso'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.CheckConstraint(condition=models.Q(('has_vat_id', False), models.Q(models.Q(('tax_id', ''), _negated=True), models.Q(('country', ''), _negated=True)), _connector='OR'), name='accounts_organization_vat_id_of_country'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.UniqueConstraint(condition=models.Q(('is_personal', True)), fields=('owner',), name='accounts_one_personal_organization'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('organization', 'user'), name='accounts_membership_once'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['owner', 'admin', 'member'])), name='accounts_membership_role_known'),
        ),
        migrations.AddConstraint(
            model_name='sshkey',
            constraint=models.UniqueConstraint(fields=('user', 'fingerprint'), name='accounts_ssh_key_once'),
        ),
        migrations.AddConstraint(
            model_name='sshkey',
            constraint=models.CheckConstraint(condition=models.Q(('public_key__regex', '^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]{3}) [A-Za-z0-9+/]+=*$')), name='accounts_ssh_key_is_one_line'),
        ),
    ]
