"""Where a payment page leads back to, durable refunds, disputes."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("billing", "0002_ledger_rules"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="accepted_at",
            field=models.DateTimeField(blank=True, help_text="When staff accepted what was held.", null=True),
        ),
        migrations.AddField(
            model_name="payment",
            name="asked_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the gateway was first asked for the page; empty: certainly never.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="cancel_url",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AddField(
            model_name="payment",
            name="received_currency",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Of what arrived; another than asked for is always held.",
                max_length=3,
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="success_url",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.CreateModel(
            name="Dispute",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("reference", models.CharField(max_length=191, unique=True)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(blank=True, default="", max_length=64)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("is_won", models.BooleanField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="accounts.organization"),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="billing.payment"
                    ),
                ),
            ],
            options={
                "verbose_name": "dispute",
                "verbose_name_plural": "disputes",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", True), ("is_won__isnull", True)),
                            models.Q(("closed_at__isnull", False), ("is_won__isnull", False)),
                            _connector="OR",
                        ),
                        name="billing_dispute_verdict_iff_closed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="billing_dispute_positive"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RefundTask",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("queued", "Queued"), ("running", "Running"), ("done", "Done"), ("dead", "Dead")],
                        default="queued",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("run_at", models.DateTimeField()),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.TextField(blank=True, default="")),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "refund",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="task", to="billing.refund"
                    ),
                ),
            ],
            options={
                "verbose_name": "refund task",
                "verbose_name_plural": "refund tasks",
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["run_at"],
                        name="billing_refundtask_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["queued", "running", "done", "dead"])),
                        name="billing_refundtask_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease_until__isnull", False), ("state", "running")),
                            models.Q(models.Q(("state", "running"), _negated=True), ("lease_until__isnull", True)),
                            _connector="OR",
                        ),
                        name="billing_refundtask_lease_iff_running",
                    ),
                ],
            },
        ),
    ]
