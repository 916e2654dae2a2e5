"""Roles of staff, and the audit log: its table, the function that writes it, the first triggers."""

from django.db import migrations, models

KEEP_STAFF = """
UPDATE catalog_user SET role = 'admin', is_staff = true WHERE is_staff OR is_superuser;
"""

# catalog_audit(kind, only, except): names of columns joined by commas, '' = all and none.
FUNCTIONS = """
CREATE FUNCTION catalog_audit() RETURNS trigger AS $$
DECLARE
    kind text := TG_ARGV[0];
    only_these text[] := string_to_array(nullif(TG_ARGV[1], ''), ',');
    not_these text[] := coalesce(string_to_array(nullif(TG_ARGV[2], ''), ','), '{}');
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) ELSE '{}' END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) ELSE '{}' END;
    whole jsonb := old_row || new_row;
    process text := current_setting('application_name');
    of_catalog text := CASE WHEN kind = 'catalog' THEN whole->>'id' ELSE whole->>'catalog_id' END;
    columns text[];
BEGIN
    SELECT array_agg(key) INTO columns FROM jsonb_object_keys(whole) AS key
    WHERE (only_these IS NULL OR key = ANY (only_these)) AND NOT key = ANY (not_these)
        AND old_row->key IS DISTINCT FROM new_row->key;
    IF columns IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO catalog_auditentry
        (at, who, through, action, kind, row_id, label, catalog, before, after)
    VALUES (
        clock_timestamp(),
        coalesce(nullif(current_setting('recsite.who', true), ''), nullif(process, ''), 'unknown'),
        process,
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
        kind,
        whole->>'id',
        coalesce(
            whole->>'slug', whole->>'bundle_id', whole->>'username', whole->>'name',
            whole->>'kind', ''
        ),
        coalesce((SELECT slug FROM catalog_catalog WHERE id = of_catalog::bigint), ''),
        (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(old_row)
         WHERE key = ANY (columns)),
        (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(new_row)
         WHERE key = ANY (columns))
    );
    RETURN NULL;
END
$$ LANGUAGE plpgsql;

CREATE FUNCTION catalog_audit_is_final() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is not changed afterwards.';
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER audit_is_final BEFORE UPDATE OR DELETE ON catalog_auditentry
    FOR EACH ROW EXECUTE FUNCTION catalog_audit_is_final();
"""

TRIGGERS = """
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog_catalog
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('catalog', '', 'id,items_version,created_at');

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog_encoderversion
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('encoder', '', 'id,metrics,created_at');

-- Never the hash, and no entry a request: last_used_at is written by the API.
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF name, revoked_at OR DELETE ON catalog_apikey
    FOR EACH ROW EXECUTE FUNCTION catalog_audit('API key', 'name,prefix,catalog_id,revoked_at', '');

-- Of people only what makes them staff; visitors and imported people cost nothing but a look.
CREATE TRIGGER audit_new AFTER INSERT ON catalog_user
    FOR EACH ROW WHEN (NEW.is_staff OR NEW.is_superuser)
    EXECUTE FUNCTION catalog_audit('role', 'username,role,is_staff,is_superuser', '');
CREATE TRIGGER audit_change AFTER UPDATE OF role, is_staff, is_superuser, is_active ON catalog_user
    FOR EACH ROW WHEN (
        (OLD.role, OLD.is_staff, OLD.is_superuser, OLD.is_active)
        IS DISTINCT FROM (NEW.role, NEW.is_staff, NEW.is_superuser, NEW.is_active)
    )
    EXECUTE FUNCTION catalog_audit('role', 'role,is_staff,is_superuser,is_active', '');
CREATE TRIGGER audit_gone AFTER DELETE ON catalog_user
    FOR EACH ROW WHEN (OLD.is_staff OR OLD.is_superuser)
    EXECUTE FUNCTION catalog_audit('role', 'username,role,is_staff,is_superuser', '');
"""

DROP = """
DROP TRIGGER audit ON catalog_catalog;
DROP TRIGGER audit ON catalog_encoderversion;
DROP TRIGGER audit ON catalog_apikey;
DROP TRIGGER audit_new ON catalog_user;
DROP TRIGGER audit_change ON catalog_user;
DROP TRIGGER audit_gone ON catalog_user;
DROP TRIGGER audit_is_final ON catalog_auditentry;
DROP FUNCTION catalog_audit_is_final();
DROP FUNCTION catalog_audit();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('catalog', '0006_own_encoders_and_words'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('who', models.CharField(max_length=150)),
                ('through', models.CharField(max_length=64)),
                ('action', models.CharField(choices=[('created', 'Created'), ('changed', 'Changed'), ('deleted', 'Deleted')], max_length=8)),
                ('kind', models.CharField(max_length=32)),
                ('row_id', models.CharField(max_length=64)),
                ('label', models.TextField()),
                ('catalog', models.CharField(blank=True, max_length=50)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
            ],
        ),
        migrations.AddField(
            model_name='catalog',
            name='auto_promote',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='user',
            name='role',
            field=models.CharField(blank=True, choices=[('viewer', 'Viewer'), ('operator', 'Operator'), ('admin', 'Admin')], db_default='', default='', max_length=16),
        ),
        migrations.RunSQL(KEEP_STAFF, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['', 'viewer', 'operator', 'admin'])), name='user_role_known'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('role', ''), ('is_staff', True), _connector='OR'), name='user_role_is_for_staff'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['-at', '-id'], name='audit_newest_first'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['who', '-at'], name='audit_by_who'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['kind', '-at'], name='audit_by_kind'),
        ),
        migrations.RunSQL(FUNCTIONS + TRIGGERS, DROP),
    ]
