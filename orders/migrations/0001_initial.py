import core.ids
import core.models.state_machine
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('billing', '0001_initial'),
        ('catalog', '0001_initial'),
        ('servers', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE orders_order_number START 1001", "DROP SEQUENCE orders_order_number"),
        migrations.CreateModel(
            name='Affiliate',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('code', models.CharField(help_text="Part of the affiliate's link.", max_length=32, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9-]{3,32}\\Z', '3 to 32 small letters, digits and hyphens.')], verbose_name='code')),
                ('is_active', models.BooleanField(default=True, help_text='Only an active affiliate earns more.', verbose_name='active')),
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='affiliate', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'affiliate',
                'verbose_name_plural': 'affiliates',
            },
        ),
        migrations.CreateModel(
            name='AffiliateClicks',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('clicked_on', models.DateField(verbose_name='day')),
                ('count', models.PositiveIntegerField(default=0, verbose_name='clicks')),
                ('sign_ups', models.PositiveIntegerField(default=0, verbose_name='sign-ups')),
                ('affiliate', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='clicks', to='orders.affiliate')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': "affiliate's clicks",
                'verbose_name_plural': "affiliates' clicks",
                'ordering': ['-clicked_on'],
            },
        ),
        migrations.CreateModel(
            name='CommissionPayout',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('paid_currency', models.CharField(max_length=3, verbose_name='currency paid')),
                ('paid_minor', models.BigIntegerField(help_text='What came into the wallet, in its currency.', verbose_name='paid')),
                ('paid_out_at', models.DateTimeField(verbose_name='paid out at')),
                ('affiliate', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payouts', to='orders.affiliate')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'commission payout',
                'verbose_name_plural': 'commission payouts',
                'ordering': ['-paid_out_at'],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.BigIntegerField(db_default=models.Func(models.Value('orders_order_number'), function='nextval'), editable=False, unique=True)),
                ('placed_from', models.GenericIPAddressField(blank=True, help_text="The client's address; of IPv6 its network.", null=True, verbose_name='placed from')),
                ('form_token', models.UUIDField(blank=True, null=True, verbose_name='form token')),
                ('status', models.CharField(choices=[('pending_payment', 'Waiting for payment'), ('paid', 'Paid'), ('provisioning', 'Setting up'), ('active', 'Active'), ('waiting_capacity', 'Waiting for capacity'), ('canceled', 'Canceled'), ('failed', 'Failed')], default='pending_payment', max_length=16)),
                ('currency', models.CharField(max_length=3)),
                ('total_minor', models.BigIntegerField(help_text='Due when the order was placed.', verbose_name='total')),
                ('uses_credit', models.BooleanField(default=False, help_text='The customer chose that the credit in their wallet pays what it can of the order.', verbose_name='uses credit')),
                ('placed_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(help_text='An order that is still unpaid then is canceled and its capacity released.', verbose_name='payment due until')),
                ('paid_at', models.DateTimeField(blank=True, null=True)),
                ('active_at', models.DateTimeField(blank=True, null=True, verbose_name='delivered at')),
                ('refund_due_at', models.DateTimeField(blank=True, help_text='A paid order that cannot be delivered is refunded then.', null=True, verbose_name='automatic refund at')),
                ('canceled_by', models.ForeignKey(blank=True, help_text='A payment that arrives after a user canceled is refunded. After the order expired, it revives it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='canceled by')),
                ('invoice', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='order', to='billing.invoice')),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='accounts.organization')),
                ('placed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to=settings.AUTH_USER_MODEL)),
                ('referred_by', models.ForeignKey(blank=True, help_text='Whose link the customer had followed.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='orders.affiliate', verbose_name='affiliate')),
            ],
            options={
                'verbose_name': 'order',
                'verbose_name_plural': 'orders',
                'ordering': ['-placed_at'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='CouponRedemption',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('redeemed_at', models.DateTimeField(verbose_name='redeemed at')),
                ('given_back_at', models.DateTimeField(blank=True, null=True, verbose_name='given back at')),
                ('coupon', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='catalog.coupon')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='coupon_redemption', to='orders.order')),
            ],
            options={
                'verbose_name': 'use of a coupon',
                'verbose_name_plural': 'uses of coupons',
                'ordering': ['-redeemed_at'],
            },
        ),
        migrations.CreateModel(
            name='OrderItem',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('server_name', models.CharField(max_length=64, verbose_name='server name')),
                ('options', models.JSONField(blank=True, default=dict)),
                ('build', models.JSONField(blank=True, default=dict, help_text='What its machine or container is built from, as it was sold.', verbose_name='build')),
                ('is_stock_taken', models.BooleanField(default=False, help_text="One piece of the plan's limited stock is taken for it.", verbose_name='takes limited stock')),
                ('image', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='catalog.image', verbose_name='image')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='orders.order')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('plan_price', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='catalog.planprice')),
                ('promotion', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='catalog.promotion', verbose_name='promotion')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='servers.region', verbose_name='region')),
                ('reservation', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='order_item', to='servers.reservation')),
                ('server', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='order_item', to='servers.server')),
                ('subscription', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='order_item', to='billing.subscription')),
            ],
            options={
                'verbose_name': 'order item',
                'verbose_name_plural': 'order items',
            },
        ),
        migrations.CreateModel(
            name='OrderItemAddon',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('quantity', models.IntegerField(default=1, verbose_name='quantity')),
                ('addon_price', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='catalog.addonprice', verbose_name='add-on price')),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='addons', to='orders.orderitem')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'order add-on',
                'verbose_name_plural': 'order add-ons',
            },
        ),
        migrations.CreateModel(
            name='OrderStatusChange',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('old', models.CharField(blank=True, choices=[('pending_payment', 'Waiting for payment'), ('paid', 'Paid'), ('provisioning', 'Setting up'), ('active', 'Active'), ('waiting_capacity', 'Waiting for capacity'), ('canceled', 'Canceled'), ('failed', 'Failed')], default='', max_length=16, verbose_name='from')),
                ('new', models.CharField(choices=[('pending_payment', 'Waiting for payment'), ('paid', 'Paid'), ('provisioning', 'Setting up'), ('active', 'Active'), ('waiting_capacity', 'Waiting for capacity'), ('canceled', 'Canceled'), ('failed', 'Failed')], max_length=16, verbose_name='to')),
                ('reason', models.CharField(blank=True, default='', max_length=255)),
                ('at', models.DateTimeField()),
                ('actor', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='orders.order')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'order status change',
                'verbose_name_plural': 'order status changes',
                'ordering': ['at'],
            },
        ),
        migrations.CreateModel(
            name='PlanChange',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('status', models.CharField(choices=[('quoted', 'Not confirmed'), ('pending_payment', 'Waiting for payment'), ('scheduled', 'Scheduled'), ('applying', 'Being applied'), ('done', 'Done'), ('canceled', 'Canceled'), ('expired', 'Expired'), ('failed', 'Failed')], default='quoted', max_length=16)),
                ('old_term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle before')),
                ('addon_prices', models.JSONField(blank=True, default=list, help_text='The prices of all add-ons that it has then.', verbose_name='add-ons')),
                ('limits', models.JSONField(default=dict, help_text='What the server may use then.', verbose_name='size')),
                ('lines', models.JSONField(blank=True, default=list, help_text='As it was shown, line by line.', verbose_name='quote')),
                ('currency', models.CharField(max_length=3)),
                ('due_minor', models.BigIntegerField(help_text='With tax.', verbose_name='due at once')),
                ('recurring_minor', models.DecimalField(decimal_places=10, help_text='From the next period on; finer than a minor unit only for an hour.', max_digits=20, verbose_name='price per period')),
                ('ended_items', models.JSONField(blank=True, default=dict)),
                ('begun_items', models.JSONField(blank=True, default=list)),
                ('is_stock_taken', models.BooleanField(default=False, verbose_name='takes limited stock')),
                ('quoted_at', models.DateTimeField(verbose_name='quoted at')),
                ('effective_at', models.DateTimeField(verbose_name='effective at')),
                ('expires_at', models.DateTimeField(help_text='Until then the quote holds, or can be paid.', verbose_name='expires at')),
                ('applied_at', models.DateTimeField(blank=True, null=True, verbose_name='applied at')),
                ('failure', models.CharField(blank=True, default='', max_length=191, verbose_name='reason of failure')),
                ('invoice', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='plan_change', to='billing.invoice')),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plan_changes', to='orders.orderitem', verbose_name='order item')),
                ('old_plan_price', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.planprice', verbose_name='from')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('plan_price', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.planprice', verbose_name='to')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='requested by')),
                ('reservation', models.OneToOneField(blank=True, help_text="What the server's node keeps for it in addition.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='plan_change', to='servers.reservation')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plan_changes', to='billing.subscription')),
            ],
            options={
                'verbose_name': 'plan change',
                'verbose_name_plural': 'plan changes',
                'ordering': ['-quoted_at'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='Referral',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('status', models.CharField(choices=[('pending', 'On hold'), ('earned', 'Earned'), ('reversed', 'Reversed'), ('refused', 'Refused')], default='pending', max_length=8)),
                ('reason', models.CharField(blank=True, default='', max_length=64, verbose_name='reason')),
                ('currency', models.CharField(max_length=3)),
                ('percent', models.DecimalField(decimal_places=4, max_digits=7, verbose_name='percent')),
                ('commission_minor', models.BigIntegerField(help_text='Of what was paid without tax.', verbose_name='commission')),
                ('credited_minor', models.BigIntegerField(default=0, help_text="What of the invoice's net had gone back when it was decided.", verbose_name='credited')),
                ('paid_at', models.DateTimeField(verbose_name='paid at')),
                ('hold_until', models.DateTimeField(verbose_name='on hold until')),
                ('closed_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('affiliate', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='referrals', to='orders.affiliate')),
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='referral', to='accounts.organization', verbose_name='customer')),
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='referral', to='orders.order')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='referrals', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'referral',
                'verbose_name_plural': 'referrals',
                'ordering': ['-paid_at'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='ServerImport',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('state', models.CharField(choices=[('checking', 'Being checked'), ('checked', 'Checked, nothing done'), ('importing', 'Importing'), ('finished', 'Finished')], default='checking', max_length=9)),
                ('mapping', models.JSONField(blank=True, default=list, verbose_name='mapping')),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], default='monthly', max_length=12, verbose_name='billing cycle')),
                ('billed_from', models.DateField(verbose_name='billed from')),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='servers.provider')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'import of servers',
                'verbose_name_plural': 'imports of servers',
                'ordering': ['-created_at'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='ImportTask',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('dead', 'Failed')], default='queued', max_length=8)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('outages', models.PositiveIntegerField(db_default=0, help_text='Attempts that failed because another system did not answer. They never end the work.')),
                ('run_at', models.DateTimeField(verbose_name='next attempt at')),
                ('lease_until', models.DateTimeField(blank=True, null=True, verbose_name="worker's lease until")),
                ('last_error', models.TextField(blank=True, default='')),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('is_requested_again', models.BooleanField(default=False, verbose_name='run once more')),
                ('server_import', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='task', to='orders.serverimport')),
            ],
            options={
                'verbose_name': 'import task',
                'verbose_name_plural': 'import tasks',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ImportRow',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('position', models.PositiveIntegerField()),
                ('ref', models.CharField(max_length=64, verbose_name='panel ID')),
                ('name', models.CharField(blank=True, default='', max_length=191, verbose_name='name')),
                ('email', models.CharField(blank=True, default='', max_length=191, verbose_name='email')),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle')),
                ('billed_from', models.DateField(verbose_name='billed from')),
                ('outcome', models.CharField(choices=[('planned', 'To be imported'), ('refused', 'Not imported'), ('imported', 'Imported')], max_length=8)),
                ('note', models.CharField(blank=True, default='', max_length=255, verbose_name='what happens')),
                ('plan', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.plan')),
                ('server', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='import_row', to='servers.server')),
                ('server_import', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='orders.serverimport')),
            ],
            options={
                'verbose_name': 'server of an import',
                'verbose_name_plural': 'servers of imports',
                'ordering': ['server_import', 'position'],
            },
        ),
        migrations.CreateModel(
            name='ServerTransfer',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('recipient_email', models.EmailField(max_length=254, verbose_name="recipient's address")),
                ('offerer_name', models.CharField(max_length=191, verbose_name='from')),
                ('server_name', models.CharField(max_length=64, verbose_name='server')),
                ('description', models.CharField(max_length=255, verbose_name='what it is')),
                ('recurring_minor', models.BigIntegerField(verbose_name='price per period')),
                ('currency', models.CharField(max_length=3)),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle')),
                ('paid_until', models.DateTimeField(verbose_name='paid until')),
                ('status', models.CharField(choices=[('open', 'Offered'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('canceled', 'Canceled')], default='open', max_length=8)),
                ('offered_at', models.DateTimeField(verbose_name='offered at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='transfers', to='orders.orderitem', verbose_name='order item')),
                ('new_organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization', verbose_name='taken by')),
                ('offered_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='offered by')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('recipient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('server', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='transfers', to='servers.server')),
            ],
            options={
                'verbose_name': 'transfer of a server',
                'verbose_name_plural': 'transfers of servers',
                'ordering': ['-offered_at'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='WaitlistEntry',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('offered', 'Reserved for you'), ('ordered', 'Ordered'), ('expired', 'Expired'), ('left', 'Left')], default='waiting', max_length=8)),
                ('joined_at', models.DateTimeField(verbose_name='joined at')),
                ('is_stock_taken', models.BooleanField(default=False, help_text="One piece of the plan's limited stock is kept for it.", verbose_name='takes limited stock')),
                ('offered_at', models.DateTimeField(blank=True, null=True, verbose_name='reserved at')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='reserved until')),
                ('joined_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='joined by')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('plan', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.plan')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='servers.region')),
                ('reservation', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='waitlist_entry', to='servers.reservation')),
            ],
            options={
                'verbose_name': 'waitlist entry',
                'verbose_name_plural': 'waitlist',
                'ordering': ['joined_at', 'pk'],
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.AddConstraint(
            model_name='affiliate',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[a-z0-9-]{3,32}$')), name='orders_affiliate_code_characters'),
        ),
        migrations.AddConstraint(
            model_name='affiliateclicks',
            constraint=models.UniqueConstraint(fields=('affiliate', 'clicked_on'), name='orders_clicks_once_a_day'),
        ),
        migrations.AddConstraint(
            model_name='commissionpayout',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('paid_minor__gt', 0)), name='orders_payout_positive'),
        ),
        migrations.AddConstraint(
            model_name='commissionpayout',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('currency', models.F('paid_currency')), _negated=True), ('amount_minor', models.F('paid_minor')), _connector='OR'), name='orders_payout_same_currency_same_amount'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['organization', '-placed_at'], name='orders_order_of_org'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status', 'pending_payment')), fields=['expires_at'], name='orders_order_expiry'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status__in', ['waiting_capacity', 'failed'])), fields=['refund_due_at'], name='orders_order_stuck'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('status__in', ['paid', 'provisioning', 'waiting_capacity'])), fields=['paid_at'], name='orders_order_undelivered'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending_payment', 'paid', 'provisioning', 'active', 'waiting_capacity', 'canceled', 'failed'])), name='orders_order_status_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(fields=('organization', 'form_token'), name='orders_form_token_once'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['paid', 'provisioning', 'active', 'waiting_capacity', 'failed']), _negated=True), ('paid_at__isnull', False), _connector='OR'), name='orders_paid_at_when_paid'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'active'), _negated=True), ('active_at__isnull', False), _connector='OR'), name='orders_active_at_when_active'),
        ),
        migrations.AddIndex(
            model_name='couponredemption',
            index=models.Index(condition=models.Q(('given_back_at__isnull', True)), fields=['coupon', 'organization'], name='orders_redemption_counted'),
        ),
        migrations.AddConstraint(
            model_name='orderitemaddon',
            constraint=models.UniqueConstraint(fields=('item', 'addon_price'), name='orders_addon_once'),
        ),
        migrations.AddConstraint(
            model_name='orderitemaddon',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gte', 1)), name='orders_addon_quantity_positive'),
        ),
        migrations.AddConstraint(
            model_name='orderstatuschange',
            constraint=models.CheckConstraint(condition=models.Q(('old__in', ['', 'pending_payment', 'paid', 'provisioning', 'active', 'waiting_capacity', 'canceled', 'failed'])), name='orders_change_old_known'),
        ),
        migrations.AddConstraint(
            model_name='orderstatuschange',
            constraint=models.CheckConstraint(condition=models.Q(('new__in', ['pending_payment', 'paid', 'provisioning', 'active', 'waiting_capacity', 'canceled', 'failed'])), name='orders_change_new_known'),
        ),
        migrations.AddIndex(
            model_name='planchange',
            index=models.Index(condition=models.Q(('status__in', ['quoted', 'pending_payment'])), fields=['expires_at'], name='orders_plan_change_expiry'),
        ),
        migrations.AddIndex(
            model_name='planchange',
            index=models.Index(condition=models.Q(('status', 'scheduled')), fields=['effective_at'], name='orders_plan_change_scheduled'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['quoted', 'pending_payment', 'scheduled', 'applying', 'done', 'canceled', 'expired', 'failed'])), name='orders_plan_change_status_known'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(('old_term__in', ['hourly', 'monthly', 'quarterly', 'semiannually', 'yearly'])), name='orders_plan_change_old_term_known'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('quoted', 'pending_payment', 'scheduled', 'applying'))), fields=('subscription',), name='orders_plan_change_one_open'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(('due_minor__gte', 0), models.Q(('due_minor', 0), ('effective_at', models.F('quoted_at')), _connector='OR')), name='orders_plan_change_due_when_it_begins_at_once'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'pending_payment'), _negated=True), ('invoice__isnull', False), _connector='OR'), name='orders_plan_change_paid_by_its_invoice'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['applying', 'done']), _negated=True), ('applied_at__isnull', False), _connector='OR'), name='orders_plan_change_applied_at_when_applied'),
        ),
        migrations.AddIndex(
            model_name='referral',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['hold_until'], name='orders_referral_on_hold'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'earned', 'reversed', 'refused'])), name='orders_referral_status_known'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'pending'), ('closed_at__isnull', True)), models.Q(models.Q(('status', 'pending'), _negated=True), models.Q(('closed_at__isnull', True), _negated=True)), _connector='OR'), name='orders_referral_open_iff_pending'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('commission_minor__gt', 0), ('status__in', ['reversed', 'refused']), _connector='OR'), name='orders_referral_commission_positive'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('percent__gt', 0), ('percent__lte', Decimal('100'))), name='orders_referral_percent_within'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('customer', models.F('organization')), _negated=True), name='orders_referral_not_of_itself'),
        ),
        migrations.AddConstraint(
            model_name='serverimport',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['checking', 'checked', 'importing', 'finished'])), name='orders_import_state_known'),
        ),
        migrations.AddConstraint(
            model_name='serverimport',
            constraint=models.CheckConstraint(condition=models.Q(('term__in', ['monthly', 'quarterly', 'semiannually', 'yearly'])), name='orders_import_term_in_months'),
        ),
        migrations.AddIndex(
            model_name='importtask',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='orders_importtask_due'),
        ),
        migrations.AddIndex(
            model_name='importtask',
            index=models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='orders_importtask_done'),
        ),
        migrations.AddConstraint(
            model_name='importtask',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='orders_importtask_state_known'),
        ),
        migrations.AddConstraint(
            model_name='importtask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='orders_importtask_lease_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='importrow',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['planned', 'refused', 'imported'])), name='orders_import_row_outcome_known'),
        ),
        migrations.AddConstraint(
            model_name='importrow',
            constraint=models.CheckConstraint(condition=models.Q(('term__in', ['hourly', 'monthly', 'quarterly', 'semiannually', 'yearly'])), name='orders_import_row_term_known'),
        ),
        migrations.AddConstraint(
            model_name='importrow',
            constraint=models.UniqueConstraint(fields=('server_import', 'position'), name='orders_import_row_once'),
        ),
        migrations.AddConstraint(
            model_name='importrow',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'imported'), ('server__isnull', False)), models.Q(models.Q(('outcome', 'imported'), _negated=True), ('server__isnull', True)), _connector='OR'), name='orders_import_row_has_its_server'),
        ),
        migrations.AddConstraint(
            model_name='servertransfer',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['open', 'accepted', 'declined', 'canceled'])), name='orders_transfer_status_known'),
        ),
        migrations.AddConstraint(
            model_name='servertransfer',
            constraint=models.CheckConstraint(condition=models.Q(('term__in', ['hourly', 'monthly', 'quarterly', 'semiannually', 'yearly'])), name='orders_transfer_term_known'),
        ),
        migrations.AddConstraint(
            model_name='servertransfer',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'open')), fields=('item',), name='orders_transfer_one_open'),
        ),
        migrations.AddConstraint(
            model_name='servertransfer',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('new_organization__isnull', False), ('status', 'accepted')), models.Q(('ended_at__isnull', True), ('new_organization__isnull', True), ('status', 'open')), models.Q(('ended_at__isnull', False), ('new_organization__isnull', True), ('status__in', ['declined', 'canceled'])), _connector='OR'), name='orders_transfer_taken_by_when_accepted'),
        ),
        migrations.AddConstraint(
            model_name='servertransfer',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'accepted'), ('server__isnull', False)), models.Q(models.Q(('status', 'accepted'), _negated=True), models.Q(('server__isnull', False), _negated=True)), _connector='OR'), name='orders_transfer_server_iff_accepted'),
        ),
        migrations.AddIndex(
            model_name='waitlistentry',
            index=models.Index(condition=models.Q(('status', 'waiting')), fields=['plan', 'region', 'joined_at'], name='orders_waitlist_line'),
        ),
        migrations.AddIndex(
            model_name='waitlistentry',
            index=models.Index(condition=models.Q(('status', 'offered')), fields=['expires_at'], name='orders_waitlist_expiry'),
        ),
        migrations.AddConstraint(
            model_name='waitlistentry',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'offered', 'ordered', 'expired', 'left'])), name='orders_waitlist_status_known'),
        ),
        migrations.AddConstraint(
            model_name='waitlistentry',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('waiting', 'offered'))), fields=('organization', 'plan', 'region'), name='orders_waitlist_once'),
        ),
        migrations.AddConstraint(
            model_name='waitlistentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('expires_at__isnull', True), ('is_stock_taken', False), ('offered_at__isnull', True), ('reservation__isnull', True), ('status', 'waiting')), ('status__in', ['left', 'ordered']), models.Q(('expires_at__isnull', False), ('offered_at__isnull', False), ('reservation__isnull', False), ('status__in', ['offered', 'expired'])), _connector='OR'), name='orders_waitlist_with_reservation_iff_offered'),
        ),
    ]
