"""Access to a server is given to members of its organization only, and ends with the membership."""

from django.db import migrations

# Deleting a membership deletes the user's accesses in that organization.
MEMBER = """
ALTER TABLE servers_serveraccess ADD CONSTRAINT servers_serveraccess_member
    FOREIGN KEY (organization_id, user_id) REFERENCES accounts_membership (organization_id, user_id)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
"""
# Row-level security asks it for the servers that the bound user may see as a plain member. It reads the table as its
# owner, so that the table's own policy is not computed again in every statement about servers.
FUNCTION = """
CREATE FUNCTION app_servers() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL RESTRICTED
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(array_agg(server_id), '{}') FROM public.servers_serveraccess WHERE user_id = public.app_user();
END;
"""
UNDO = """
DROP FUNCTION app_servers() CASCADE;
ALTER TABLE servers_serveraccess DROP CONSTRAINT servers_serveraccess_member;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("servers", "0003_unlogged_usage"),
        ("accounts", "0001_initial"),
        ("core", "0002_roles_and_functions"),
    ]
    operations = [migrations.RunSQL([MEMBER, FUNCTION], UNDO)]
