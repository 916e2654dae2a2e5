"""Schedules, which run was started by which, and what the audit log tells of runs and models."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# Runs: who created, cancelled or retried one. Not the heartbeats, and not the refreshes of embeddings
# that workers queue by themselves when items are new.
TRIGGERS = """
CREATE TRIGGER audit_new AFTER INSERT ON training_trainingrun
    FOR EACH ROW WHEN (
        NEW.kind <> 'encode' OR NEW.created_by_id IS NOT NULL OR NEW.schedule_id IS NOT NULL
        OR current_setting('application_name') NOT LIKE 'celery%'
    )
    EXECUTE FUNCTION catalog_audit(
        'run', 'kind,catalog_id,parameters,seed,retry_of_id,schedule_id', ''
    );
CREATE TRIGGER audit_change AFTER UPDATE OF cancel_requested ON training_trainingrun
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('run', 'cancel_requested', '');

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON training_modelversion
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('model', '', 'id,metrics,created_at');

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON training_promotion
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('promotion', '', 'id,at');

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON training_schedule
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('schedule', '', 'id,done_until,created_at');
"""

DROP = """
DROP TRIGGER audit_new ON training_trainingrun;
DROP TRIGGER audit_change ON training_trainingrun;
DROP TRIGGER audit ON training_modelversion;
DROP TRIGGER audit ON training_promotion;
DROP TRIGGER audit ON training_schedule;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0007_roles_and_audit'),
        ('training', '0003_quantize'),
    ]

    operations = [
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('train', 'Train'), ('encode', 'Encode')], max_length=16)),
                ('trigger', models.CharField(choices=[('timetable', 'Timetable'), ('interactions', 'Interactions'), ('drift', 'Drift')], max_length=16)),
                ('hour', models.PositiveSmallIntegerField(default=2)),
                ('every_hours', models.PositiveSmallIntegerField(default=24)),
                ('interactions', models.PositiveIntegerField(default=0)),
                ('drift', models.FloatField(default=0.0)),
                ('is_paused', models.BooleanField(default=False)),
                ('done_until', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('catalog', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='schedules', to='catalog.catalog')),
            ],
        ),
        migrations.AddField(
            model_name='trainingrun',
            name='schedule',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='training.schedule'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.UniqueConstraint(models.F('catalog'), models.F('kind'), models.F('trigger'), name='schedule_one_a_trigger'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['train', 'encode'])), name='schedule_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('hour__lte', 23), ('every_hours__in', (24, 12, 8, 6, 4, 3, 2, 1))), name='schedule_hours_fit_a_day'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('trigger', 'interactions'), _negated=True), ('interactions__gt', 0), _connector='OR'), name='schedule_counts_something'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('trigger', 'drift'), _negated=True), ('drift__gt', 0), _connector='OR'), name='schedule_has_a_drift'),
        ),
        migrations.RunSQL(TRIGGERS, DROP),
    ]
