import core.ids
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('code', models.SlugField(max_length=64, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('cpu_percent', models.IntegerField(help_text='100 is one core.', verbose_name='CPU (% of a core)')),
                ('memory_mib', models.IntegerField(verbose_name='memory (MiB)')),
                ('disk_mib', models.IntegerField(verbose_name='disk (MiB)')),
                ('network_mbps', models.PositiveIntegerField(default=1000, verbose_name='network (Mbit/s)')),
                ('databases', models.PositiveIntegerField(default=0, verbose_name='databases')),
                ('backups', models.PositiveIntegerField(default=0, verbose_name='backups')),
                ('ports', models.PositiveIntegerField(default=1, verbose_name='ports')),
                ('cost_minor', models.BigIntegerField(blank=True, help_text='Such as 4.50. Customers never see it.', null=True, verbose_name='own cost per month')),
                ('cost_currency', models.CharField(blank=True, default='', max_length=3, verbose_name='currency of the cost')),
                ('stock', models.PositiveIntegerField(blank=True, help_text='Empty: unlimited.', null=True, verbose_name='stock')),
                ('is_active', models.BooleanField(default=True, help_text='Only active plans are sold.', verbose_name='active')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
            ],
            options={
                'verbose_name': 'plan',
                'verbose_name_plural': 'plans',
                'ordering': ['position', 'memory_mib'],
            },
        ),
        migrations.CreateModel(
            name='Image',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('code', models.SlugField(max_length=64, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
                ('plans', models.ManyToManyField(blank=True, related_name='images', to='catalog.plan', verbose_name='plans')),
            ],
            options={
                'verbose_name': 'image',
                'verbose_name_plural': 'images',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Product',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('kind', models.CharField(choices=[('game', 'Game server'), ('vps', 'VPS'), ('container', 'Container')], max_length=10)),
                ('slug', models.SlugField(help_text="Part of the product's web address.", max_length=64, unique=True, verbose_name='slug')),
                ('name', models.CharField(max_length=100)),
                ('tagline', models.CharField(blank=True, help_text='One line under the name.', max_length=191, verbose_name='tagline')),
                ('description', models.TextField(blank=True)),
                ('features', models.JSONField(blank=True, default=list)),
                ('category', models.CharField(blank=True, db_index=True, max_length=64, verbose_name='category')),
                ('is_active', models.BooleanField(default=True, help_text='Only active products are sold.', verbose_name='active')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
            ],
            options={
                'verbose_name': 'product',
                'verbose_name_plural': 'products',
                'ordering': ['position', 'name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['game', 'vps', 'container'])), name='catalog_product_kind_known')],
            },
        ),
        migrations.AddField(
            model_name='plan',
            name='product',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='catalog.product'),
        ),
        migrations.CreateModel(
            name='Addon',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('code', models.SlugField(max_length=64, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('description', models.CharField(blank=True, max_length=191)),
                ('kind', models.CharField(choices=[('cpu', 'More CPU'), ('memory', 'More memory'), ('disk', 'More disk'), ('backups', 'More backups'), ('databases', 'More databases'), ('ports', 'More ports'), ('dedicated_ip', 'Dedicated IP'), ('ddos', 'DDoS protection')], max_length=16)),
                ('quantity', models.PositiveIntegerField(default=1, help_text='How much one add-on adds: MiB of memory or disk, percent of a CPU core, else how many.', verbose_name='quantity')),
                ('max_units', models.PositiveIntegerField(default=1, help_text='More than 1: customers choose on a slider how many they add, each at its price.', verbose_name='at most')),
                ('cost_minor', models.BigIntegerField(blank=True, help_text='Of one, such as 0.40. Customers never see it.', null=True, verbose_name='own cost per month')),
                ('cost_currency', models.CharField(blank=True, default='', max_length=3, verbose_name='currency of the cost')),
                ('is_active', models.BooleanField(default=True, help_text='Only active add-ons are sold.', verbose_name='active')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
                ('products', models.ManyToManyField(blank=True, help_text='Where it is offered. None chosen: nowhere.', related_name='addons', to='catalog.product', verbose_name='products')),
            ],
            options={
                'verbose_name': 'add-on',
                'verbose_name_plural': 'add-ons',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('percent', models.DecimalField(blank=True, decimal_places=4, help_text='Either this or an amount.', max_digits=7, null=True, verbose_name='percent off')),
                ('amount_minor', models.BigIntegerField(blank=True, null=True, verbose_name='amount off')),
                ('currency', models.CharField(blank=True, default='', help_text='Of the amounts. Empty where there are none.', max_length=3, verbose_name='currency')),
                ('duration', models.CharField(choices=[('once', 'The first period'), ('periods', 'Several periods'), ('forever', 'Every period')], default='once', max_length=8, verbose_name='applies to')),
                ('periods', models.PositiveIntegerField(blank=True, help_text='Only where it applies to several periods.', null=True, verbose_name='number of periods')),
                ('starts_at', models.DateTimeField(blank=True, help_text='Empty: at once.', null=True, verbose_name='starts at')),
                ('ends_at', models.DateTimeField(blank=True, help_text='Empty: never.', null=True, verbose_name='ends at')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('name', models.CharField(help_text='Customers read it on the page and the invoice.', max_length=64, verbose_name='name')),
                ('plans', models.ManyToManyField(related_name='promotions', to='catalog.plan', verbose_name='plans')),
            ],
            options={
                'verbose_name': 'promotion',
                'verbose_name_plural': 'promotions',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='AddonPrice',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle')),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField(help_text='What one period costs when it is billed alone.', verbose_name='amount')),
                ('rate_minor', models.DecimalField(blank=True, decimal_places=10, help_text='The exact price of an hour, which may be finer than an amount. Only hourly prices have one.', max_digits=20, null=True, verbose_name='rate')),
                ('offered_at', models.DateTimeField()),
                ('superseded_at', models.DateTimeField(blank=True, help_text='Empty: this is the current price.', null=True, verbose_name='superseded at')),
                ('addon', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='catalog.addon')),
            ],
            options={
                'verbose_name': 'add-on price',
                'verbose_name_plural': 'add-on prices',
                'constraints': [models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True)), fields=('addon', 'term', 'currency'), name='catalog_addon_price_one_current'), models.CheckConstraint(condition=models.Q(('amount_minor__gte', 0)), name='catalog_addon_price_not_negative'), models.CheckConstraint(condition=models.Q(('term__in', ['hourly', 'monthly', 'quarterly', 'semiannually', 'yearly'])), name='catalog_addon_price_term_known'), models.CheckConstraint(condition=models.Q(models.Q(('term', 'hourly'), ('rate_minor__isnull', False)), models.Q(models.Q(('term', 'hourly'), _negated=True), models.Q(('rate_minor__isnull', False), _negated=True)), _connector='OR'), name='catalog_addon_price_rate_iff_hourly'), models.CheckConstraint(condition=models.Q(('rate_minor__isnull', True), models.Q(('amount_minor__gte', django.db.models.expressions.CombinedExpression(models.F('rate_minor'), '-', models.Value(Decimal('0.5')))), ('amount_minor__lte', django.db.models.expressions.CombinedExpression(models.F('rate_minor'), '+', models.Value(Decimal('0.5')))), ('rate_minor__gte', 0)), _connector='OR'), name='catalog_addon_price_amount_rounds_rate')],
            },
        ),
        migrations.CreateModel(
            name='Coupon',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('percent', models.DecimalField(blank=True, decimal_places=4, help_text='Either this or an amount.', max_digits=7, null=True, verbose_name='percent off')),
                ('amount_minor', models.BigIntegerField(blank=True, null=True, verbose_name='amount off')),
                ('currency', models.CharField(blank=True, default='', help_text='Of the amounts. Empty where there are none.', max_length=3, verbose_name='currency')),
                ('duration', models.CharField(choices=[('once', 'The first period'), ('periods', 'Several periods'), ('forever', 'Every period')], default='once', max_length=8, verbose_name='applies to')),
                ('periods', models.PositiveIntegerField(blank=True, help_text='Only where it applies to several periods.', null=True, verbose_name='number of periods')),
                ('starts_at', models.DateTimeField(blank=True, help_text='Empty: at once.', null=True, verbose_name='starts at')),
                ('ends_at', models.DateTimeField(blank=True, help_text='Empty: never.', null=True, verbose_name='ends at')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('code', models.CharField(help_text='Capitals make no difference.', max_length=32, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_-]+\\Z', 'Only letters, digits, hyphens and underscores.')], verbose_name='code')),
                ('note', models.CharField(blank=True, help_text='For staff.', max_length=191, verbose_name='note')),
                ('cap_minor', models.BigIntegerField(blank=True, null=True, verbose_name='at most')),
                ('minimum_minor', models.BigIntegerField(blank=True, null=True, verbose_name='smallest order')),
                ('max_redemptions', models.PositiveIntegerField(blank=True, help_text='Empty: unlimited.', null=True, verbose_name='uses in all')),
                ('max_per_customer', models.PositiveIntegerField(blank=True, default=1, help_text='By one user in all of their organizations, and by one organization. An order is one use, however many servers it has; of a coupon of 100% each server is one. Empty: unlimited.', null=True, verbose_name='uses by one customer')),
                ('organizations', models.ManyToManyField(blank=True, help_text='None chosen, nor any user: every customer.', related_name='+', to='accounts.organization', verbose_name='customers')),
                ('users', models.ManyToManyField(blank=True, help_text='Who may use it, whichever customer they order for.', related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='users')),
                ('plans', models.ManyToManyField(blank=True, help_text='None chosen: every plan.', related_name='coupons', to='catalog.plan', verbose_name='plans')),
            ],
            options={
                'verbose_name': 'coupon',
                'verbose_name_plural': 'coupons',
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Upper('code'), name='catalog_coupon_code_once'), models.CheckConstraint(condition=models.Q(('code__regex', '^[A-Za-z0-9_-]+$')), name='catalog_coupon_code_characters'), models.CheckConstraint(condition=models.Q(('duration__in', ['once', 'periods', 'forever'])), name='catalog_coupon_duration_known'), models.CheckConstraint(condition=models.Q(models.Q(('percent__isnull', True), ('amount_minor__isnull', False)), models.Q(models.Q(('percent__isnull', True), _negated=True), models.Q(('amount_minor__isnull', False), _negated=True)), _connector='OR'), name='catalog_coupon_percent_or_amount'), models.CheckConstraint(condition=models.Q(('percent__isnull', True), models.Q(('percent__gt', 0), ('percent__lte', Decimal('100'))), _connector='OR'), name='catalog_coupon_percent_within'), models.CheckConstraint(condition=models.Q(('amount_minor__isnull', True), ('amount_minor__gt', 0), _connector='OR'), name='catalog_coupon_amount_positive'), models.CheckConstraint(condition=models.Q(('currency', ''), ('currency__regex', '^[A-Z]{3}$'), _connector='OR'), name='catalog_coupon_currency_iso'), models.CheckConstraint(condition=models.Q(models.Q(('duration', 'periods'), ('periods__gt', 0), ('periods__isnull', False)), models.Q(models.Q(('duration', 'periods'), _negated=True), models.Q(('periods__gt', 0), ('periods__isnull', False), _negated=True)), _connector='OR'), name='catalog_coupon_periods_iff_several'), models.CheckConstraint(condition=models.Q(('starts_at__isnull', True), ('ends_at__isnull', True), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='catalog_coupon_ends_after_start'), models.CheckConstraint(condition=models.Q(models.Q(('amount_minor__isnull', True), ('cap_minor__isnull', True), ('minimum_minor__isnull', True), ('currency', '')), models.Q(models.Q(('amount_minor__isnull', True), ('cap_minor__isnull', True), ('minimum_minor__isnull', True), _negated=True), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='catalog_coupon_amounts_have_currency'), models.CheckConstraint(condition=models.Q(('cap_minor__isnull', True), models.Q(('cap_minor__gt', 0), ('percent__isnull', False)), _connector='OR'), name='catalog_coupon_cap_positive_of_percent'), models.CheckConstraint(condition=models.Q(('minimum_minor__isnull', True), ('minimum_minor__gt', 0), _connector='OR'), name='catalog_coupon_minimum_positive')],
            },
        ),
        migrations.CreateModel(
            name='PlanPrice',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle')),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField(help_text='What one period costs when it is billed alone.', verbose_name='amount')),
                ('rate_minor', models.DecimalField(blank=True, decimal_places=10, help_text='The exact price of an hour, which may be finer than an amount. Only hourly prices have one.', max_digits=20, null=True, verbose_name='rate')),
                ('offered_at', models.DateTimeField()),
                ('superseded_at', models.DateTimeField(blank=True, help_text='Empty: this is the current price.', null=True, verbose_name='superseded at')),
                ('setup_fee_minor', models.BigIntegerField(default=0, verbose_name='setup fee')),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='catalog.plan')),
            ],
            options={
                'verbose_name': 'plan price',
                'verbose_name_plural': 'plan prices',
                'constraints': [models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True)), fields=('plan', 'term', 'currency'), name='catalog_plan_price_one_current'), models.CheckConstraint(condition=models.Q(('amount_minor__gte', 0), ('setup_fee_minor__gte', 0)), name='catalog_plan_price_not_negative'), models.CheckConstraint(condition=models.Q(('term__in', ['hourly', 'monthly', 'quarterly', 'semiannually', 'yearly'])), name='catalog_plan_price_term_known'), models.CheckConstraint(condition=models.Q(models.Q(('term', 'hourly'), ('rate_minor__isnull', False)), models.Q(models.Q(('term', 'hourly'), _negated=True), models.Q(('rate_minor__isnull', False), _negated=True)), _connector='OR'), name='catalog_plan_price_rate_iff_hourly'), models.CheckConstraint(condition=models.Q(('rate_minor__isnull', True), models.Q(('amount_minor__gte', django.db.models.expressions.CombinedExpression(models.F('rate_minor'), '-', models.Value(Decimal('0.5')))), ('amount_minor__lte', django.db.models.expressions.CombinedExpression(models.F('rate_minor'), '+', models.Value(Decimal('0.5')))), ('rate_minor__gte', 0)), _connector='OR'), name='catalog_plan_price_amount_rounds_rate')],
            },
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(('cpu_percent__gt', 0), ('disk_mib__gt', 0), ('memory_mib__gt', 0)), name='catalog_plan_sizes_positive'),
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cost_minor__isnull', True), ('cost_currency', '')), models.Q(models.Q(('cost_minor__isnull', True), _negated=True), models.Q(('cost_currency', ''), _negated=True)), _connector='OR'), name='catalog_plan_cost_has_currency'),
        ),
        migrations.AddConstraint(
            model_name='addon',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['cpu', 'memory', 'disk', 'backups', 'databases', 'ports', 'dedicated_ip', 'ddos'])), name='catalog_addon_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='addon',
            constraint=models.CheckConstraint(condition=models.Q(('max_units__gte', 1), ('max_units__lte', 1000)), name='catalog_addon_units_within'),
        ),
        migrations.AddConstraint(
            model_name='addon',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cost_minor__isnull', True), ('cost_currency', '')), models.Q(models.Q(('cost_minor__isnull', True), _negated=True), models.Q(('cost_currency', ''), _negated=True)), _connector='OR'), name='catalog_addon_cost_has_currency'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('duration__in', ['once', 'periods', 'forever'])), name='catalog_promotion_duration_known'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('percent__isnull', True), ('amount_minor__isnull', False)), models.Q(models.Q(('percent__isnull', True), _negated=True), models.Q(('amount_minor__isnull', False), _negated=True)), _connector='OR'), name='catalog_promotion_percent_or_amount'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('percent__isnull', True), models.Q(('percent__gt', 0), ('percent__lte', Decimal('100'))), _connector='OR'), name='catalog_promotion_percent_within'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__isnull', True), ('amount_minor__gt', 0), _connector='OR'), name='catalog_promotion_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('currency', ''), ('currency__regex', '^[A-Z]{3}$'), _connector='OR'), name='catalog_promotion_currency_iso'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('duration', 'periods'), ('periods__gt', 0), ('periods__isnull', False)), models.Q(models.Q(('duration', 'periods'), _negated=True), models.Q(('periods__gt', 0), ('periods__isnull', False), _negated=True)), _connector='OR'), name='catalog_promotion_periods_iff_several'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('starts_at__isnull', True), ('ends_at__isnull', True), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='catalog_promotion_ends_after_start'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount_minor__isnull', True), ('currency', '')), models.Q(models.Q(('amount_minor__isnull', True), _negated=True), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='catalog_promotion_amount_has_currency'),
        ),
    ]
