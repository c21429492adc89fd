"""The panel's default image of an egg, which a JSON object cannot tell because it keeps no order."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("servers", "0002_convergence_marks")]

    operations = [
        migrations.AddField(
            "egg",
            "first_image",
            models.CharField(
                blank=True,
                default="",
                help_text="The image list keeps no order, so the first is kept here.",
                max_length=191,
            ),
        )
    ]
