import core.encryption
import core.ids
import core.models.state_machine
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('catalog', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='GatewayAccount',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('code', models.SlugField(help_text="Never changes: payments and the webhook's address name it.", max_length=16, unique=True)),
                ('kind', models.SlugField(max_length=16)),
                ('name', models.CharField(max_length=64)),
                ('credentials', core.encryption.EncryptedJSONField(blank=True, default=dict)),
                ('currencies', models.JSONField(blank=True, default=list, help_text='Codes such as USD. None: every currency that is sold.')),
                ('position', models.PositiveIntegerField(default=0, help_text='Lower numbers come first.', verbose_name='position')),
                ('is_active', models.BooleanField(default=True, help_text='An inactive account opens no payment; what is under way is finished.', verbose_name='active')),
            ],
            options={
                'verbose_name': 'gateway account',
                'verbose_name_plural': 'gateway accounts',
                'ordering': ['position', 'code'],
            },
        ),
        migrations.CreateModel(
            name='Dispute',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=191, verbose_name='gateway ID')),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('reason', models.CharField(blank=True, default='', max_length=64)),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('is_won', models.BooleanField(blank=True, null=True, verbose_name='won')),
                ('lost_minor', models.BigIntegerField(default=0, help_text='What of the payment was lost with it.', verbose_name='lost')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'dispute',
                'verbose_name_plural': 'disputes',
            },
        ),
        migrations.CreateModel(
            name='GatewayCursor',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('type', models.CharField(choices=[('events', 'Events'), ('objects', 'Refunds and disputes')], max_length=24)),
                ('read_until', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'gateway cursor',
                'verbose_name_plural': 'gateway cursors',
                'constraints': [models.UniqueConstraint(fields=('gateway', 'type'), name='billing_cursor_once'), models.CheckConstraint(condition=models.Q(('type__in', ['events', 'objects'])), name='billing_cursor_type_known')],
            },
        ),
        migrations.CreateModel(
            name='GatewayEvent',
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
                ('gateway', models.CharField(max_length=16)),
                ('event_id', models.CharField(max_length=191, verbose_name='event ID')),
                ('type', models.CharField(max_length=100)),
                ('payload', models.JSONField(verbose_name='content')),
                ('received_at', models.DateTimeField()),
                ('result', models.CharField(blank=True, choices=[('', 'Not processed yet'), ('processed', 'Processed'), ('ignored', 'Ignored: unknown type'), ('unrelated', 'Not about this shop'), ('under_review', 'Under review')], default='', max_length=12)),
                ('note', models.CharField(blank=True, default='', max_length=255)),
            ],
            options={
                'verbose_name': 'gateway event',
                'verbose_name_plural': 'gateway events',
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='billing_gatewayevent_due'), models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='billing_gatewayevent_done')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='billing_gatewayevent_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='billing_gatewayevent_lease_iff_running'), models.UniqueConstraint(fields=('gateway', 'event_id'), name='billing_event_once')],
            },
        ),
        migrations.CreateModel(
            name='InvoiceSeries',
            fields=[
                ('code', models.CharField(max_length=16, primary_key=True, serialize=False)),
                ('document', models.CharField(choices=[('invoice', 'Invoices'), ('credit_note', 'Credit notes')], default='invoice', max_length=11, verbose_name='numbers')),
                ('is_default', models.BooleanField(default=False, verbose_name='used for new invoices')),
                ('seller', models.CharField(blank=True, default='', help_text="As printed; the shop's name if empty.", max_length=100, verbose_name='seller')),
                ('seller_address', models.TextField(blank=True, default='', max_length=500, verbose_name="seller's address")),
                ('seller_tax_id', models.CharField(blank=True, default='', max_length=32, verbose_name="seller's tax ID")),
                ('prefix', models.CharField(blank=True, default='', max_length=16, verbose_name='prefix')),
                ('width', models.PositiveSmallIntegerField(default=5, help_text='Digits, with leading zeros.', verbose_name='width')),
                ('restarts_yearly', models.BooleanField(default=True, help_text='The number then contains the year, such as NB-2026-00001.', verbose_name='restarts yearly')),
                ('year', models.PositiveSmallIntegerField(default=0, help_text='Of the next number; 0 if none.', verbose_name='year')),
                ('next_number', models.PositiveBigIntegerField(default=1, verbose_name='next number')),
                ('last_issued_at', models.DateTimeField(blank=True, null=True, verbose_name='last issued at')),
                ('credit_note_series', models.ForeignKey(blank=True, limit_choices_to={'document': 'credit_note'}, null=True, on_delete=django.db.models.deletion.PROTECT, to='billing.invoiceseries', verbose_name='series of its credit notes')),
            ],
            options={
                'verbose_name': 'number series',
                'verbose_name_plural': 'number series',
            },
        ),
        migrations.CreateModel(
            name='Invoice',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('sequence_year', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('sequence', models.PositiveBigIntegerField(blank=True, null=True)),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('seller', models.JSONField(blank=True, default=dict)),
                ('billing_address', models.JSONField(blank=True, default=dict)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('open', 'Open'), ('paid', 'Paid'), ('overdue', 'Overdue'), ('void', 'Void'), ('refunded', 'Refunded'), ('expired', 'Expired')], default='draft', max_length=10)),
                ('currency', models.CharField(max_length=3)),
                ('net_minor', models.BigIntegerField(help_text='The sum of the items, without tax.', verbose_name='net')),
                ('tax_minor', models.BigIntegerField(default=0, verbose_name='tax')),
                ('total_minor', models.BigIntegerField(verbose_name='total')),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('paid_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='accounts.organization')),
                ('series', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='billing.invoiceseries')),
            ],
            options={
                'verbose_name': 'invoice',
                'verbose_name_plural': 'invoices',
                'ordering': ['-created_at'],
                'abstract': False,
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='CreditNote',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('sequence_year', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('sequence', models.PositiveBigIntegerField(blank=True, null=True)),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('seller', models.JSONField(blank=True, default=dict)),
                ('billing_address', models.JSONField(blank=True, default=dict)),
                ('reason', models.CharField(max_length=191)),
                ('currency', models.CharField(max_length=3)),
                ('net_minor', models.BigIntegerField(verbose_name='net')),
                ('tax_minor', models.BigIntegerField(default=0, verbose_name='tax')),
                ('total_minor', models.BigIntegerField(verbose_name='total')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='accounts.organization')),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='billing.invoice')),
                ('series', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='billing.invoiceseries')),
            ],
            options={
                'verbose_name': 'credit note',
                'verbose_name_plural': 'credit notes',
                'ordering': ['issued_at'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='InvoiceTax',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='As printed, such as VAT.', max_length=64)),
                ('jurisdiction', models.CharField(help_text='Country, or country and region, such as DE or US-CA.', max_length=16)),
                ('rate', models.DecimalField(decimal_places=10, help_text='Percent.', max_digits=20)),
                ('net_minor', models.BigIntegerField(verbose_name='taxed amount')),
                ('tax_minor', models.BigIntegerField(verbose_name='tax')),
                ('currency', models.CharField(max_length=3)),
                ('position', models.PositiveIntegerField(default=0)),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='taxes', to='billing.invoice')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'tax of an invoice',
                'verbose_name_plural': 'taxes of invoices',
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='LedgerAccount',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('wallet', 'Wallet'), ('promotional_credit', 'Promotional credit'), ('commission', 'Affiliate commission'), ('receivable', 'Receivable'), ('revenue', 'Revenue'), ('deferred_revenue', 'Deferred revenue'), ('tax', 'Tax'), ('clearing', 'Gateway clearing'), ('bank', 'Bank (payouts)'), ('gateway_fees', 'Gateway fees'), ('dispute_fees', 'Dispute fees'), ('refunds', 'Refunds'), ('disputes', 'Disputed payments'), ('suspense', 'Suspense (payments under review)'), ('unexplained', 'Unexplained'), ('promotions', 'Promotions given'), ('commissions', 'Commissions given'), ('fx', 'Currency exchange'), ('rounding', 'Rounding')], max_length=20)),
                ('gateway', models.CharField(blank=True, default='', max_length=16)),
                ('currency', models.CharField(max_length=3)),
                ('balance_minor', models.BigIntegerField(default=0, verbose_name='balance')),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'ledger account',
                'verbose_name_plural': 'ledger accounts',
            },
        ),
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
<<<<<<< HEAD
                ('gateway', models.CharField(max_length=16)),
                ('billing_mode', models.CharField(choices=[('self', 'Renewed by us'), ('gateway', 'Renewed by the gateway')], default='self', max_length=8)),
=======
                ('gateway', models.CharField(choices=[('stripe', 'Stripe')], max_length=16)),
>>>>>>> ddbd35f
                ('state', models.CharField(choices=[('pending', 'Waiting for the customer'), ('processing', 'Processing at the bank'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('expired', 'Expired'), ('under_review', 'Under review'), ('refunded', 'Refunded'), ('disputed', 'Disputed')], default='pending', max_length=12)),
                ('amount_minor', models.BigIntegerField(help_text='Requested from the customer.', verbose_name='amount')),
                ('received_minor', models.BigIntegerField(default=0, help_text='What the gateway says arrived.', verbose_name='received')),
                ('refunded_minor', models.BigIntegerField(default=0, verbose_name='refunded')),
                ('lost_minor', models.BigIntegerField(default=0, verbose_name='lost to disputes')),
                ('currency', models.CharField(max_length=3)),
                ('received_currency', models.CharField(blank=True, default='', help_text='A payment in another currency than requested is put under review.', max_length=3, verbose_name='currency received')),
                ('idempotency_key', models.CharField(max_length=191, unique=True)),
                ('success_url', models.CharField(blank=True, default='', max_length=500, verbose_name='return address after success')),
                ('cancel_url', models.CharField(blank=True, default='', max_length=500, verbose_name='return address after cancellation')),
                ('session_requested_at', models.DateTimeField(blank=True, help_text='When the gateway was first asked for a checkout session. Empty: never.', null=True, verbose_name='checkout first requested at')),
                ('session_id', models.CharField(blank=True, max_length=191, null=True, verbose_name='checkout session ID')),
                ('session_url', core.encryption.EncryptedTextField(blank=True, default='', verbose_name='checkout address')),
                ('transaction_id', models.CharField(blank=True, max_length=191, null=True, verbose_name='transaction ID')),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('poll_at', models.DateTimeField(blank=True, db_index=True, null=True, verbose_name='next check at')),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('period_start', models.DateTimeField(blank=True, help_text='The period that the gateway charged, where it renews the subscription.', null=True)),
                ('period_end', models.DateTimeField(blank=True, null=True)),
                ('review_reason', models.CharField(blank=True, default='', max_length=191, verbose_name='reason for review')),
                ('accepted_at', models.DateTimeField(blank=True, help_text='When staff accepted a payment that was under review.', null=True, verbose_name='accepted at')),
                ('failure', models.CharField(blank=True, default='', max_length=191, verbose_name='reason of failure')),
                ('method_label', models.CharField(blank=True, default='', help_text='Such as Visa ending 4242.', max_length=64, verbose_name='paid with')),
                ('invoice', models.ForeignKey(blank=True, help_text='What the customer was asked to pay with it. What it did pay is in its allocations.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='billing.invoice')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'payment',
                'verbose_name_plural': 'payments',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='JournalEntry',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('payment', 'Payment received'), ('charge', 'Invoice paid from wallet'), ('under_review', 'Payment under review'), ('review_accepted', 'Payment accepted after review'), ('receivable_paid', 'Credit used for what was owed'), ('refund', 'Refund'), ('credit_returned', 'Invoice refunded: credit back'), ('refund_failed', 'Refund that failed'), ('dispute', 'Dispute: funds taken'), ('dispute_won', 'Dispute won: funds back'), ('dispute_lost', 'Dispute lost: credit withdrawn'), ('dispute_appealed', 'Dispute won on appeal: credit back')], max_length=16)),
                ('reference', models.CharField(max_length=191, unique=True)),
                ('note', models.CharField(blank=True, default='', max_length=191)),
                ('at', models.DateTimeField(db_index=True)),
                ('dispute', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.dispute')),
                ('invoice', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.invoice')),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('payment', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.payment')),
            ],
            options={
                'verbose_name': 'journal entry',
                'verbose_name_plural': 'journal entries',
            },
        ),
        migrations.AddField(
            model_name='dispute',
            name='payment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='billing.payment'),
        ),
        migrations.CreateModel(
            name='PaymentAllocation',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('at', models.DateTimeField()),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allocations', to='billing.invoice')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('payment', models.ForeignKey(blank=True, help_text="Empty: paid from the wallet's credit.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='allocations', to='billing.payment')),
            ],
            options={
                'verbose_name': 'payment allocation',
                'verbose_name_plural': 'payment allocations',
            },
        ),
        migrations.CreateModel(
            name='PaymentMethod',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=191, verbose_name='gateway ID')),
                ('brand', models.CharField(blank=True, default='', max_length=32)),
                ('last4', models.CharField(blank=True, default='', max_length=4, verbose_name='last four digits')),
                ('expires_on', models.DateField(blank=True, null=True)),
                ('is_default', models.BooleanField(default=False, verbose_name='default')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payment_methods', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'payment method',
                'verbose_name_plural': 'payment methods',
            },
        ),
        migrations.CreateModel(
            name='PaymentTask',
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
                ('payment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='task', to='billing.payment')),
            ],
            options={
                'verbose_name': 'payment task',
                'verbose_name_plural': 'payment tasks',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Posting',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='billing.ledgeraccount')),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='billing.journalentry')),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'posting',
                'verbose_name_plural': 'postings',
            },
        ),
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('reason', models.CharField(max_length=191)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('succeeded', 'Succeeded'), ('failed', 'Failed')], default='pending', max_length=12)),
                ('idempotency_key', models.CharField(max_length=191, unique=True)),
                ('transaction_id', models.CharField(blank=True, max_length=191, null=True, verbose_name='transaction ID')),
                ('failure', models.CharField(blank=True, default='', max_length=191, verbose_name='reason of failure')),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('payment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='billing.payment')),
            ],
            options={
                'verbose_name': 'refund',
                'verbose_name_plural': 'refunds',
            },
        ),
        migrations.AddField(
            model_name='journalentry',
            name='refund',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.refund'),
        ),
        migrations.CreateModel(
            name='AllocationReversal',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('at', models.DateTimeField()),
                ('undone_at', models.DateTimeField(blank=True, null=True, verbose_name='undone at')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('dispute', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='allocation_reversals', to='billing.dispute')),
                ('allocation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.paymentallocation')),
                ('refund', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='allocation_reversals', to='billing.refund')),
            ],
            options={
                'verbose_name': 'allocation reversal',
                'verbose_name_plural': 'allocation reversals',
            },
        ),
        migrations.CreateModel(
            name='RefundTask',
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
                ('refund', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='task', to='billing.refund')),
            ],
            options={
                'verbose_name': 'refund task',
                'verbose_name_plural': 'refund tasks',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('active', 'Active'), ('past_due', 'Past due'), ('suspended', 'Suspended'), ('canceled', 'Canceled'), ('ended', 'Ended')], default='pending', max_length=10)),
                ('term', models.CharField(choices=[('hourly', 'Hourly'), ('monthly', 'Monthly'), ('quarterly', 'Quarterly'), ('semiannually', 'Every six months'), ('yearly', 'Yearly')], max_length=12, verbose_name='billing cycle')),
                ('currency', models.CharField(max_length=3)),
                ('amount_minor', models.BigIntegerField(help_text='All items together.', verbose_name='price per period')),
                ('billing_mode', models.CharField(choices=[('self', 'Renewed by us'), ('gateway', 'Renewed by the gateway')], default='self', max_length=8)),
<<<<<<< HEAD
                ('is_auto_renewed', models.BooleanField(default=False, verbose_name='renews automatically')),
=======
                ('stripe_subscription_id', models.CharField(blank=True, max_length=191, null=True, unique=True, verbose_name='Stripe subscription ID')),
                ('is_auto_renewed', models.BooleanField(default=False, help_text="The customer's choice at checkout. A cancellation leaves it as it is.", verbose_name='renews automatically')),
>>>>>>> ddbd35f
                ('current_period_start', models.DateTimeField(blank=True, null=True)),
                ('current_period_end', models.DateTimeField(blank=True, null=True)),
                ('anchor_day', models.PositiveSmallIntegerField(blank=True, help_text='Day of the month on which periods begin.', null=True, verbose_name='billing day')),
                ('cancels_at_period_end', models.BooleanField(default=False)),
                ('canceled_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'subscription',
                'verbose_name_plural': 'subscriptions',
            },
            bases=(core.models.state_machine.StateMachine, models.Model),
        ),
        migrations.CreateModel(
            name='GatewaySubscription',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=191, verbose_name='gateway ID')),
                ('is_live', models.BooleanField(help_text='Whether it charges real money.', verbose_name='live')),
                ('is_duplicate', models.BooleanField(default=False, help_text='Another one charges for the same subscription: this one is ended.', verbose_name='duplicate')),
                ('ended_at', models.DateTimeField(blank=True, help_text='When it ended at the gateway. Empty: it charges.', null=True, verbose_name='ended at')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='gateway_subscriptions', to='billing.subscription')),
            ],
            options={
                'verbose_name': 'gateway subscription',
                'verbose_name_plural': 'gateway subscriptions',
            },
        ),
        migrations.CreateModel(
            name='SubscriptionItem',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('plan', 'Plan'), ('addon', 'Add-on'), ('setup', 'Setup fee'), ('discount', 'Discount'), ('usage', 'Usage'), ('proration', 'Proration'), ('credit', 'Credit'), ('top_up', 'Top-up')], max_length=16)),
                ('description', models.CharField(max_length=255)),
                ('quantity', models.PositiveIntegerField(default=1)),
                ('unit_minor', models.DecimalField(decimal_places=10, help_text='In minor units, and finer where needed: 0.69 is $0.0069.', max_digits=20, verbose_name='unit price')),
                ('currency', models.CharField(max_length=3)),
                ('valid_from', models.DateTimeField(verbose_name='valid from')),
                ('valid_until', models.DateTimeField(blank=True, null=True, verbose_name='valid until')),
                ('position', models.PositiveIntegerField(default=0)),
                ('addon_price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='catalog.addonprice', verbose_name='add-on price')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('plan_price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='catalog.planprice')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='billing.subscription')),
            ],
            options={
                'verbose_name': 'subscription item',
                'verbose_name_plural': 'subscription items',
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='InvoiceItem',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('plan', 'Plan'), ('addon', 'Add-on'), ('setup', 'Setup fee'), ('discount', 'Discount'), ('usage', 'Usage'), ('proration', 'Proration'), ('credit', 'Credit'), ('top_up', 'Top-up')], max_length=16)),
                ('description', models.CharField(max_length=255)),
                ('quantity', models.DecimalField(decimal_places=10, default=1, max_digits=20)),
                ('unit_minor', models.DecimalField(decimal_places=10, help_text='May be finer than a minor unit.', max_digits=28, verbose_name='unit price')),
                ('amount_minor', models.BigIntegerField(verbose_name='amount')),
                ('currency', models.CharField(max_length=3)),
                ('period_start', models.DateTimeField(blank=True, null=True)),
                ('period_end', models.DateTimeField(blank=True, null=True)),
                ('is_void', models.BooleanField(default=False, editable=False, help_text='Whether the invoice is void or expired; the database keeps it.')),
                ('position', models.PositiveIntegerField(default=0)),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='billing.invoice')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
                ('subscription', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoice_items', to='billing.subscription')),
                ('subscription_item', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoice_items', to='billing.subscriptionitem')),
            ],
            options={
                'verbose_name': 'invoice item',
                'verbose_name_plural': 'invoice items',
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='UnexplainedItem',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('type', models.CharField(choices=[('subscription', 'Subscription'), ('refund', 'Refund'), ('dispute', 'Dispute')], max_length=24)),
                ('reference', models.CharField(max_length=191, verbose_name='gateway ID')),
                ('customer', models.CharField(blank=True, default='', max_length=191, verbose_name="customer's gateway ID")),
                ('amount_minor', models.BigIntegerField(blank=True, null=True, verbose_name='amount')),
                ('currency', models.CharField(blank=True, default='', max_length=3)),
                ('occurred_at', models.DateTimeField()),
                ('note', models.CharField(blank=True, default='', max_length=255)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('resolution', models.CharField(blank=True, default='', max_length=191)),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'unexplained item',
                'verbose_name_plural': 'unexplained items',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='GatewayCustomer',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('reference', models.CharField(blank=True, max_length=191, null=True, verbose_name='gateway ID')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='accounts.organization')),
            ],
            options={
                'verbose_name': 'gateway customer',
                'verbose_name_plural': 'gateway customers',
                'constraints': [models.UniqueConstraint(fields=('organization', 'gateway'), name='billing_customer_once'), models.UniqueConstraint(fields=('gateway', 'reference'), name='billing_customer_reference_once')],
            },
        ),
        migrations.CreateModel(
            name='GatewayPrice',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('gateway', models.CharField(max_length=16)),
                ('reference', models.CharField(max_length=191, verbose_name='gateway ID')),
                ('addon_price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='gateway_prices', to='catalog.addonprice', verbose_name='add-on price')),
                ('plan_price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='gateway_prices', to='catalog.planprice')),
            ],
            options={
                'verbose_name': 'gateway price',
                'verbose_name_plural': 'gateway prices',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('addon_price__isnull', True), ('plan_price__isnull', False)), models.Q(('addon_price__isnull', False), ('plan_price__isnull', True)), _connector='OR'), name='billing_gateway_price_of_one_price'), models.UniqueConstraint(fields=('gateway', 'reference'), name='billing_gateway_price_reference_once'), models.UniqueConstraint(fields=('gateway', 'plan_price'), name='billing_gateway_price_once_a_plan_price'), models.UniqueConstraint(fields=('gateway', 'addon_price'), name='billing_gateway_price_once_an_addon_price')],
            },
        ),
        migrations.CreateModel(
            name='GatewayCancelTask',
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
                ('gateway_subscription', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='cancel_task', to='billing.gatewaysubscription')),
            ],
            options={
                'verbose_name': 'gateway cancel task',
                'verbose_name_plural': 'gateway cancel tasks',
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='billing_gatewaycanceltask_due'), models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='billing_gatewaycanceltask_done')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='billing_gatewaycanceltask_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='billing_gatewaycanceltask_lease_iff_running')],
            },
        ),
        migrations.AddConstraint(
            model_name='invoiceseries',
            constraint=models.CheckConstraint(condition=models.Q(('document__in', ['invoice', 'credit_note'])), name='billing_series_document_known'),
        ),
        migrations.AddConstraint(
            model_name='invoiceseries',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('document', 'invoice'), ('credit_note_series__isnull', False)), models.Q(models.Q(('document', 'invoice'), _negated=True), models.Q(('credit_note_series__isnull', False), _negated=True)), _connector='OR'), name='billing_series_of_invoices_has_credit_notes'),
        ),
        migrations.AddConstraint(
            model_name='invoiceseries',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('is_default',), name='billing_series_one_default'),
        ),
        migrations.AddConstraint(
            model_name='invoiceseries',
            constraint=models.CheckConstraint(condition=models.Q(('is_default', False), ('document', 'invoice'), _connector='OR'), name='billing_series_default_is_of_invoices'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(fields=['organization', '-created_at'], name='billing_invoice_of_org'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(condition=models.Q(('issued_at__isnull', False), ('number__isnull', True)), fields=['series'], name='billing_invoice_to_number'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(fields=('series', 'sequence_year', 'sequence'), name='billing_invoice_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('number__isnull', True), ('sequence__isnull', True), ('sequence_year__isnull', True)), models.Q(('issued_at__isnull', False), ('number__isnull', False), ('sequence__gt', 0), ('sequence_year__isnull', False)), _connector='OR'), name='billing_invoice_number_has_sequence'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'open', 'paid', 'overdue', 'void', 'refunded', 'expired'])), name='billing_invoice_state_known'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('net_minor__gte', 0), ('tax_minor__gte', 0)), name='billing_invoice_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('total_minor', django.db.models.expressions.CombinedExpression(models.F('net_minor'), '+', models.F('tax_minor')))), name='billing_invoice_total_is_net_and_tax'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['open', 'paid', 'overdue', 'refunded']), _negated=True), ('issued_at__isnull', False), _connector='OR'), name='billing_invoice_paid_is_issued'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['paid', 'refunded']), _negated=True), ('paid_at__isnull', False), _connector='OR'), name='billing_invoice_paid_at_when_paid'),
        ),
        migrations.AddIndex(
            model_name='creditnote',
            index=models.Index(condition=models.Q(('issued_at__isnull', False), ('number__isnull', True)), fields=['series'], name='billing_creditnote_to_number'),
        ),
        migrations.AddConstraint(
            model_name='creditnote',
            constraint=models.UniqueConstraint(fields=('series', 'sequence_year', 'sequence'), name='billing_creditnote_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='creditnote',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('number__isnull', True), ('sequence__isnull', True), ('sequence_year__isnull', True)), models.Q(('issued_at__isnull', False), ('number__isnull', False), ('sequence__gt', 0), ('sequence_year__isnull', False)), _connector='OR'), name='billing_creditnote_number_has_sequence'),
        ),
        migrations.AddConstraint(
            model_name='creditnote',
            constraint=models.CheckConstraint(condition=models.Q(('issued_at__isnull', False)), name='billing_creditnote_issued'),
        ),
        migrations.AddConstraint(
            model_name='creditnote',
            constraint=models.CheckConstraint(condition=models.Q(('net_minor__gte', 0), ('tax_minor__gte', 0), ('total_minor__gt', 0)), name='billing_creditnote_positive'),
        ),
        migrations.AddConstraint(
            model_name='creditnote',
            constraint=models.CheckConstraint(condition=models.Q(('total_minor', django.db.models.expressions.CombinedExpression(models.F('net_minor'), '+', models.F('tax_minor')))), name='billing_creditnote_total_is_net_and_tax'),
        ),
        migrations.AddConstraint(
            model_name='invoicetax',
            constraint=models.CheckConstraint(condition=models.Q(('net_minor__gte', 0), ('rate__gte', 0), ('tax_minor__gte', 0)), name='billing_tax_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.UniqueConstraint(fields=('kind', 'organization', 'gateway', 'currency'), name='billing_account_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ('wallet', 'promotional_credit', 'commission', 'receivable')), ('organization__isnull', False)), models.Q(models.Q(('kind__in', ('wallet', 'promotional_credit', 'commission', 'receivable')), _negated=True), models.Q(('organization__isnull', False), _negated=True)), _connector='OR'), name='billing_account_organization_iff_its_kind'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('balance_minor__lte', 0), ('kind', 'receivable')), models.Q(models.Q(('kind', 'receivable'), _negated=True), ('balance_minor__gte', 0)), _connector='OR'), name='billing_account_not_overdrawn'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['wallet', 'promotional_credit', 'commission', 'receivable', 'revenue', 'deferred_revenue', 'tax', 'clearing', 'bank', 'gateway_fees', 'dispute_fees', 'refunds', 'disputes', 'suspense', 'unexplained', 'promotions', 'commissions', 'fx', 'rounding'])), name='billing_account_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('gateway', 'transaction_id'), name='billing_payment_transaction_once'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('gateway', 'session_id'), name='billing_payment_session_once'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['succeeded', 'under_review', 'refunded', 'disputed']), _negated=True), ('transaction_id__isnull', False), _connector='OR'), name='billing_payment_received_has_transaction'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('refunded_minor__gte', 0), ('refunded_minor__lte', models.F('received_minor'))), name='billing_payment_refunded_within'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('lost_minor__gte', 0)), name='billing_payment_lost_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['pending', 'processing'])), fields=('invoice',), name='billing_payment_one_open'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='billing_payment_positive'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'processing', 'succeeded', 'failed', 'expired', 'under_review', 'refunded', 'disputed'])), name='billing_payment_state_known'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.UniqueConstraint(fields=('gateway', 'reference'), name='billing_dispute_reference_once'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('is_won__isnull', False), ('closed_at__isnull', False)), models.Q(models.Q(('is_won__isnull', False), _negated=True), models.Q(('closed_at__isnull', False), _negated=True)), _connector='OR'), name='billing_dispute_outcome_iff_closed'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='billing_dispute_positive'),
        ),
        migrations.AddConstraint(
            model_name='paymentallocation',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='billing_allocation_positive'),
        ),
        migrations.AddConstraint(
            model_name='paymentallocation',
            constraint=models.UniqueConstraint(fields=('invoice', 'payment'), name='billing_allocation_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='paymentmethod',
            constraint=models.UniqueConstraint(fields=('gateway', 'reference'), name='billing_method_once'),
        ),
        migrations.AddConstraint(
            model_name='paymentmethod',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('organization',), name='billing_method_one_default'),
        ),
        migrations.AddIndex(
            model_name='paymenttask',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='billing_paymenttask_due'),
        ),
        migrations.AddIndex(
            model_name='paymenttask',
            index=models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='billing_paymenttask_done'),
        ),
        migrations.AddConstraint(
            model_name='paymenttask',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='billing_paymenttask_state_known'),
        ),
        migrations.AddConstraint(
            model_name='paymenttask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='billing_paymenttask_lease_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor', 0), _negated=True), name='billing_posting_not_zero'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.UniqueConstraint(fields=('gateway', 'transaction_id'), name='billing_refund_transaction_once'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='billing_refund_positive'),
        ),
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'succeeded', 'failed'])), name='billing_refund_state_known'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('payment__isnull', False)), fields=['payment'], name='billing_entry_of_payment'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('invoice__isnull', False)), fields=['invoice'], name='billing_entry_of_invoice'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('refund__isnull', False)), fields=['refund'], name='billing_entry_of_refund'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(condition=models.Q(('dispute__isnull', False)), fields=['dispute'], name='billing_entry_of_dispute'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['payment', 'charge', 'under_review', 'review_accepted', 'receivable_paid', 'refund', 'credit_returned', 'refund_failed', 'dispute', 'dispute_won', 'dispute_lost', 'dispute_appealed'])), name='billing_entry_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('payment__isnull', True), ('kind__in', ('payment', 'under_review', 'review_accepted', 'receivable_paid')), _connector='OR'), name='billing_entry_payment_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('invoice__isnull', True), ('kind__in', ('charge', 'credit_returned')), _connector='OR'), name='billing_entry_invoice_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('refund__isnull', True), ('kind__in', ('refund', 'refund_failed')), _connector='OR'), name='billing_entry_refund_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('dispute__isnull', True), ('kind__in', ('dispute', 'dispute_won', 'dispute_lost', 'dispute_appealed')), _connector='OR'), name='billing_entry_dispute_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='allocationreversal',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0)), name='billing_reversal_positive'),
        ),
        migrations.AddConstraint(
            model_name='allocationreversal',
            constraint=models.CheckConstraint(condition=models.Q(('refund__isnull', True), ('dispute__isnull', True), _connector='OR'), name='billing_reversal_one_cause'),
        ),
        migrations.AddIndex(
            model_name='refundtask',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='billing_refundtask_due'),
        ),
        migrations.AddIndex(
            model_name='refundtask',
            index=models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='billing_refundtask_done'),
        ),
        migrations.AddConstraint(
            model_name='refundtask',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='billing_refundtask_state_known'),
        ),
        migrations.AddConstraint(
            model_name='refundtask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='billing_refundtask_lease_iff_running'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('status__in', ['active', 'past_due'])), fields=['billing_mode', 'current_period_end'], name='billing_subscription_due'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'active', 'past_due', 'suspended', 'canceled', 'ended'])), name='billing_subscription_status_known'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['active', 'past_due', 'suspended']), _negated=True), ('current_period_end__gt', models.F('current_period_start')), _connector='OR'), name='billing_subscription_period_when_active'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gte', 0)), name='billing_subscription_amount_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='gatewaysubscription',
            constraint=models.UniqueConstraint(fields=('gateway', 'reference'), name='billing_gateway_subscription_reference_once'),
        ),
        migrations.AddConstraint(
            model_name='gatewaysubscription',
            constraint=models.UniqueConstraint(condition=models.Q(('is_duplicate', False)), fields=('subscription',), name='billing_gateway_subscription_one_charges'),
        ),
        migrations.AddConstraint(
            model_name='subscriptionitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('addon_price__isnull', True), ('kind', 'plan'), ('plan_price__isnull', False)), models.Q(('addon_price__isnull', False), ('kind', 'addon'), ('plan_price__isnull', True)), _connector='OR'), name='billing_subscription_item_has_its_price'),
        ),
        migrations.AddConstraint(
            model_name='subscriptionitem',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gte', 1)), name='billing_subscription_item_quantity_positive'),
        ),
        migrations.AddConstraint(
            model_name='subscriptionitem',
            constraint=models.CheckConstraint(condition=models.Q(('valid_until__isnull', True), ('valid_until__gt', models.F('valid_from')), _connector='OR'), name='billing_subscription_item_valid_forward'),
        ),
        migrations.AddConstraint(
            model_name='invoiceitem',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='billing_item_quantity_positive'),
        ),
        migrations.AddConstraint(
            model_name='invoiceitem',
            constraint=models.CheckConstraint(condition=models.Q(('unit_minor__gte', 0), ('kind__in', ['discount', 'credit']), _connector='OR'), name='billing_item_negative_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='invoiceitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('period_end__isnull', True), ('period_start__isnull', True)), models.Q(('period_end__gt', models.F('period_start')), ('period_start__isnull', False)), _connector='OR'), name='billing_item_period_forward'),
        ),
        migrations.AddConstraint(
            model_name='invoiceitem',
            constraint=models.CheckConstraint(condition=models.Q(('period_start__isnull', True), models.Q(('kind__in', ('plan', 'addon')), _negated=True), ('subscription_item__isnull', False), _connector='OR'), name='billing_item_period_names_its_item'),
        ),
        migrations.AddConstraint(
            model_name='invoiceitem',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['plan', 'addon', 'setup', 'discount', 'usage', 'proration', 'credit', 'top_up'])), name='billing_item_kind_known'),
        ),
        migrations.AddIndex(
            model_name='unexplaineditem',
            index=models.Index(condition=models.Q(('resolved_at__isnull', True)), fields=['created_at'], name='billing_unexplained_open'),
        ),
        migrations.AddConstraint(
            model_name='unexplaineditem',
            constraint=models.UniqueConstraint(fields=('gateway', 'type', 'reference'), name='billing_unexplained_once'),
        ),
        migrations.AddConstraint(
            model_name='unexplaineditem',
            constraint=models.CheckConstraint(condition=models.Q(('type__in', ['subscription', 'refund', 'dispute'])), name='billing_unexplained_type_known'),
        ),
        migrations.AddConstraint(
            model_name='unexplaineditem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount_minor__isnull', True), ('currency', '')), models.Q(models.Q(('amount_minor__isnull', True), _negated=True), models.Q(('currency', ''), _negated=True)), _connector='OR'), name='billing_unexplained_amount_has_currency'),
        ),
        migrations.AddConstraint(
            model_name='unexplaineditem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('resolved_at__isnull', True), ('resolution', '')), models.Q(models.Q(('resolved_at__isnull', True), _negated=True), models.Q(('resolution', ''), _negated=True)), _connector='OR'), name='billing_unexplained_resolution_given'),
        ),
    ]
