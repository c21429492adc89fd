"""When a gateway that collected a subscription said that it collects no more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("billing", "0003_payment_pages_refund_tasks_disputes"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="collection_ended_at",
            field=models.DateTimeField(
                blank=True, help_text="When the gateway that collected it said that it collects no more.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(
                    ("collection_ended_at__isnull", True),
                    ("status__in", ["canceled", "ended"]),
                    ("stripe_subscription_id__isnull", False),
                ),
                fields=["ended_at"],
                name="billing_subscription_to_stop",
            ),
        ),
    ]
