-- How many of a program's migrations the database has seen. Others may have been made since by a
-- newer program: a program works on the schema of the release after its own.
SELECT count(*) FROM __diesel_schema_migrations WHERE version = ANY ($1::text[])
