"""Ids become UUIDv7, as everywhere. The rows count for 15 minutes only, so they are dropped and not converted."""

import django.db.models.functions.datetime
from django.db import migrations, models

import studio.ids


class Migration(migrations.Migration):
    dependencies = [("api", "0001_initial")]

    operations = [
        migrations.DeleteModel("FailedSignIn"),
        migrations.CreateModel(
            name="FailedSignIn",
            fields=[
                ("id", models.UUIDField(default=studio.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("who", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [models.Index(fields=["who", "created_at"], name="api_failed_sign_ins")],
            },
        ),
    ]
