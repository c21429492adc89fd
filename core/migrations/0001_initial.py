import django.core.serializers.json
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('hash', models.CharField(max_length=64)),
                ('signature', models.CharField(max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('actor_label', models.CharField(blank=True, default='', max_length=100, verbose_name="actor's name")),
                ('organization_id', models.UUIDField(blank=True, db_index=True, null=True, verbose_name='organization ID')),
                ('action', models.CharField(max_length=100)),
                ('entity_type', models.CharField(max_length=100, verbose_name='object type')),
                ('entity_id', models.CharField(max_length=100, verbose_name='object ID')),
                ('outcome', models.CharField(choices=[('ok', 'Done'), ('refused', 'Refused'), ('failed', 'Failed')], default='ok', max_length=8)),
                ('changed', models.JSONField(blank=True, default=list, help_text='The names of what changed.', verbose_name='changed')),
                ('metadata', models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('old', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True, verbose_name='before')),
                ('new', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True, verbose_name='after')),
                ('ip', models.GenericIPAddressField(blank=True, null=True, verbose_name='IP address')),
                ('user_agent', models.CharField(blank=True, default='', max_length=400, verbose_name='browser')),
                ('message', models.CharField(blank=True, default='', max_length=400)),
                ('salt', models.UUIDField(editable=False, null=True)),
                ('digest', models.CharField(db_default='', editable=False, max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('hash', models.CharField(db_default='', editable=False, max_length=64)),
                ('actor', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit entries',
            },
        ),
        migrations.CreateModel(
            name='AuditLink',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('entry_hash', models.CharField(max_length=64)),
                ('previous_hash', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='link', to='core.auditentry')),
            ],
        ),
        migrations.CreateModel(
            name='Setting',
            fields=[
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('key', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('value', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('type', models.CharField(choices=[('string', 'One line'), ('text', 'Text'), ('integer', 'Whole number'), ('boolean', 'Yes or no'), ('decimal', 'Decimal number'), ('choice', 'Choice'), ('hue', 'Colour hue'), ('email', 'E-mail address'), ('url', 'Web address'), ('duration', 'Duration in seconds')], max_length=10)),
                ('category', models.CharField(max_length=50)),
                ('description', models.TextField(blank=True, default='')),
                ('is_public', models.BooleanField(default=False, verbose_name='public')),
            ],
            options={
                'ordering': ['category', 'key'],
                'constraints': [models.CheckConstraint(condition=models.Q(('type__in', ['string', 'text', 'integer', 'boolean', 'decimal', 'choice', 'hue', 'email', 'url', 'duration'])), name='core_setting_type_known')],
            },
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['entity_type', 'entity_id', 'id'], name='core_auditentry_entity'),
        ),
        migrations.AddConstraint(
            model_name='auditentry',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['ok', 'refused', 'failed'])), name='core_auditentry_outcome_known'),
        ),
    ]
