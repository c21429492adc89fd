import core.ids
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
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
                ('cost_minor', models.BigIntegerField(blank=True, help_text="In the currency's smallest unit: 450 is $4.50. Customers never see it.", null=True, verbose_name='own cost per month')),
                ('cost_currency', models.CharField(blank=True, default='', max_length=3, verbose_name='currency of the cost')),
                ('stock', models.PositiveIntegerField(blank=True, help_text='Empty: unlimited.', null=True, verbose_name='stock')),
                ('is_active', models.BooleanField(default=True, help_text='Only active plans are sold.', verbose_name='active')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
                ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='catalog.product')),
            ],
            options={
                'verbose_name': 'plan',
                'verbose_name_plural': 'plans',
                'ordering': ['position', 'memory_mib'],
            },
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
                ('kind', models.CharField(choices=[('memory', 'More memory'), ('disk', 'More disk'), ('backups', 'More backups'), ('databases', 'More databases'), ('ports', 'More ports'), ('dedicated_ip', 'Dedicated IP'), ('ddos', 'DDoS protection')], max_length=16)),
                ('quantity', models.PositiveIntegerField(default=1, help_text='How much one add-on adds.', verbose_name='quantity')),
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
            model_name='addon',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['memory', 'disk', 'backups', 'databases', 'ports', 'dedicated_ip', 'ddos'])), name='catalog_addon_kind_known'),
        ),
    ]
