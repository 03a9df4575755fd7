"""The groups, with the permissions that exist by now. The others follow with post_migrate, which makes them."""

from django.db import migrations

from jobs import roles


def make_groups(apps, schema_editor):
    using = schema_editor.connection.alias
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    groups = apps.get_model("auth", "Group").objects.using(using)
    roles.grant(groups, permissions.filter(content_type__app_label__in=roles.labels()))


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("jobs", "0003_doors"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
