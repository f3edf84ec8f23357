"""The tables of kombu's SQL transport, made once here instead of by whichever process is first (they would race)."""

from typing import Any

from django.db import migrations
from kombu import Connection

from studio.celery import broker_url, is_sql


def make_tables(apps: Any, schema_editor: Any) -> None:
    url = broker_url()
    if is_sql(url):
        with Connection(url) as connection, connection.channel() as channel:
            channel._open()


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]
    operations = [migrations.RunPython(make_tables, migrations.RunPython.noop)]
