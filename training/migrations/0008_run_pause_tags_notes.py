"""Runs can be paused, tagged and noted on; the audit log tells who did so."""

import datetime
import django.contrib.postgres.fields
from django.db import migrations, models

TRIGGER = """
DROP TRIGGER audit_change ON training_trainingrun;
CREATE TRIGGER audit_change
    AFTER UPDATE OF cancel_requested, pause_requested, tags, note ON training_trainingrun
    FOR EACH ROW
    EXECUTE FUNCTION catalog_audit('run', 'cancel_requested,pause_requested,tags,note', '');
"""
BEFORE = """
DROP TRIGGER audit_change ON training_trainingrun;
CREATE TRIGGER audit_change AFTER UPDATE OF cancel_requested ON training_trainingrun
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('run', 'cancel_requested', '');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('training', '0007_evaluations'),
    ]

    operations = [
        migrations.AddField(
            model_name='trainingrun',
            name='idle',
            field=models.DurationField(default=datetime.timedelta),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='note',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='pause_requested',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='resumed_from',
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='tags',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, size=None),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='state',
            field=models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('paused', 'Paused'), ('cancelled', 'Cancelled'), ('failed', 'Failed'), ('succeeded', 'Succeeded')], default='queued', max_length=16),
        ),
        migrations.RunSQL(TRIGGER, BEFORE),
    ]
