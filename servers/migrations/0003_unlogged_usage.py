"""Samples of what servers use are not worth a line in the write-ahead log: a crash may lose them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("servers", "0002_same_owner")]
    operations = [
        migrations.RunSQL("ALTER TABLE servers_usagesample SET UNLOGGED", "ALTER TABLE servers_usagesample SET LOGGED")
    ]
