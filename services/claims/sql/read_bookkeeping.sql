-- Whether the database was ever migrated: where it was not, the next statement would fail.
SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL
