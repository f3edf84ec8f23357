from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_broker_tables")]
    operations = [
        migrations.AddIndex(
            model_name="jobevent",
            index=models.Index(fields=["created_at"], name="jobs_event_age"),
        )
    ]
