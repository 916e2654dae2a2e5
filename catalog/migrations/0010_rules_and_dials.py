"""Rules, dials for popularity and exploration, and the counter that makes processes read them."""

import django.db.models.deletion
from django.db import migrations, models

AUDIT = """
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog_rule
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('rule', '', 'id,created_at');

DROP TRIGGER audit ON catalog_catalog;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog_catalog FOR EACH ROW
    EXECUTE FUNCTION catalog_audit('catalog', '', 'id,items_version,rules_version,created_at');
"""

NO_AUDIT = """
DROP TRIGGER audit ON catalog_rule;

DROP TRIGGER audit ON catalog_catalog;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog_catalog
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('catalog', '', 'id,items_version,created_at');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0009_learns_from'),
    ]

    operations = [
        migrations.CreateModel(
            name='Rule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('pin', 'Pin'), ('boost', 'Boost'), ('bury', 'Bury'), ('exclude', 'Exclude')], max_length=8)),
                ('filter', models.TextField(blank=True, default='')),
                ('position', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('factor', models.FloatField(blank=True, null=True)),
                ('surface', models.CharField(blank=True, default='', max_length=32)),
                ('starts_at', models.DateTimeField(blank=True, null=True)),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('is_active', models.BooleanField(default=True)),
                ('note', models.CharField(blank=True, default='', max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AddField(
            model_name='catalog',
            name='exploration',
            field=models.FloatField(db_default=0.0, default=0.0),
        ),
        migrations.AddField(
            model_name='catalog',
            name='popularity_push',
            field=models.FloatField(db_default=0.0, default=0.0),
        ),
        migrations.AddField(
            model_name='catalog',
            name='rules_version',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name='catalog',
            constraint=models.CheckConstraint(condition=models.Q(('popularity_push__gte', -1), ('popularity_push__lte', 1), ('exploration__gte', 0), ('exploration__lte', 0.5)), name='catalog_dials_in_range'),
        ),
        migrations.AddField(
            model_name='rule',
            name='catalog',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='catalog.catalog'),
        ),
        migrations.AddField(
            model_name='rule',
            name='item',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='catalog.item'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('filter', ''), ('item__isnull', False), ('kind', 'pin'), ('position__isnull', False)), models.Q(('item__isnull', True), ('kind__in', ['boost', 'bury', 'exclude']), models.Q(('filter', ''), _negated=True)), _connector='OR'), name='rule_pins_an_item_or_filters'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('factor__gt', 1), ('kind', 'boost')), models.Q(('factor__gte', 0), ('factor__lt', 1), ('kind', 'bury')), models.Q(('factor__isnull', True), ('kind__in', ['pin', 'exclude'])), _connector='OR'), name='rule_factor_fits_its_kind'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('starts_at__isnull', True), ('ends_at__isnull', True), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='rule_ends_after_its_start'),
        ),
        migrations.RunSQL(AUDIT, NO_AUDIT),
    ]
