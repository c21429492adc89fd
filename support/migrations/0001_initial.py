import core.encryption
import core.ids
import core.models.kinds
import django.db.models.deletion
import django.db.models.functions.datetime
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
            name='MessageTask',
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
                ('event', models.CharField(max_length=64)),
                ('row_ids', models.JSONField(verbose_name='rows')),
                ('happened_at', models.DateTimeField(verbose_name='happened at')),
            ],
            options={
                'verbose_name': 'messages to compose',
                'verbose_name_plural': 'messages to compose',
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='support_messagetask_due'), models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='support_messagetask_done')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='support_messagetask_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='support_messagetask_lease_iff_running')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
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
                ('event', models.CharField(blank=True, default='', max_length=64)),
                ('channel', models.SlugField(db_index=False, max_length=16, validators=[core.models.kinds.RegisteredIn('support.channels.registered')])),
                ('reference', models.CharField(blank=True, default='', max_length=191)),
                ('recipient', models.CharField(max_length=191, verbose_name='to')),
                ('sender', models.CharField(max_length=191, verbose_name='from')),
                ('subject', models.CharField(max_length=255)),
                ('body', core.encryption.EncryptedTextField(blank=True, default='')),
                ('html_body', core.encryption.EncryptedTextField(blank=True, default='', verbose_name='HTML body')),
                ('headers', models.JSONField(blank=True, default=dict)),
                ('message_id', models.CharField(max_length=191, verbose_name='message ID')),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['run_at'], name='support_delivery_due'), models.Index(condition=models.Q(('state', 'done')), fields=['finished_at'], name='support_delivery_done')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'dead'])), name='support_delivery_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('state', 'running'), _negated=True), models.Q(('lease_until__isnull', False), _negated=True)), _connector='OR'), name='support_delivery_lease_iff_running'), models.UniqueConstraint(condition=models.Q(('reference', ''), _negated=True), fields=('reference', 'user', 'channel'), name='delivery_once_per_user_and_channel'), models.CheckConstraint(condition=models.Q(('reference', ''), ('user__isnull', False), _connector='OR'), name='delivery_reference_has_user')],
            },
        ),
    ]
