"""What convergence has to remember between two looks at a panel."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("servers", "0001_initial")]

    operations = [
        migrations.AddField(
            "server",
            "create_missed_at",
            models.DateTimeField(
                null=True, blank=True, help_text="First looked for in vain after a creation whose answer was lost."
            ),
        ),
        migrations.AddField(
            "server",
            "is_install_doubtful",
            models.BooleanField(
                default=False, help_text="A suspension hid how the install ended; only installing again can tell."
            ),
        ),
        migrations.AddField("server", "installed_at", models.DateTimeField(null=True, blank=True)),
        migrations.AddField("server", "reinstall_asked_at", models.DateTimeField(null=True, blank=True)),
        migrations.AddField("server", "start_asked_at", models.DateTimeField(null=True, blank=True)),
    ]
