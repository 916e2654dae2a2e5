"""Which other catalogs a catalog learns from is among what the audit log tells."""

from django.db import migrations

# The table holds pairs, so that what a statement changed is told at once: the list before and after.
AUDIT = """
CREATE FUNCTION catalog_audit_learns_from() RETURNS trigger AS $$
DECLARE
    process text := current_setting('application_name');
BEGIN
    INSERT INTO catalog_auditentry
        (at, who, through, action, kind, row_id, label, catalog, before, after)
    SELECT
        clock_timestamp(),
        coalesce(nullif(current_setting('recsite.who', true), ''), nullif(process, ''), 'unknown'),
        process, 'changed', 'catalog', learner.id::text, learner.slug, learner.slug,
        jsonb_build_object('learns_from', CASE TG_OP
            WHEN 'INSERT' THEN present.slugs - moved.slugs
            ELSE (SELECT jsonb_agg(one.slug ORDER BY one.slug) FROM jsonb_array_elements_text(
                present.slugs || to_jsonb(moved.slugs)) AS one(slug))
        END),
        jsonb_build_object('learns_from', present.slugs)
    FROM (
        SELECT from_catalog_id, array_agg(other.slug::text) AS slugs
        FROM moved_rows JOIN catalog_catalog other ON other.id = to_catalog_id
        GROUP BY from_catalog_id
    ) AS moved
    JOIN catalog_catalog learner ON learner.id = moved.from_catalog_id
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(other.slug ORDER BY other.slug), '[]') AS slugs
        FROM catalog_catalog_learns_from pair
        JOIN catalog_catalog other ON other.id = pair.to_catalog_id
        WHERE pair.from_catalog_id = learner.id
    ) AS present;
    RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER audit_new AFTER INSERT ON catalog_catalog_learns_from
    REFERENCING NEW TABLE AS moved_rows
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_audit_learns_from();
CREATE TRIGGER audit_gone AFTER DELETE ON catalog_catalog_learns_from
    REFERENCING OLD TABLE AS moved_rows
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_audit_learns_from();
"""

DROP = """
DROP TRIGGER audit_new ON catalog_catalog_learns_from;
DROP TRIGGER audit_gone ON catalog_catalog_learns_from;
DROP FUNCTION catalog_audit_learns_from();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0011_imports'),
    ]

    operations = [
        migrations.RunSQL(AUDIT, DROP),
    ]
