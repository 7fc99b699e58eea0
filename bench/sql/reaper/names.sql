-- What things are called, by their number, for this session: three tenants, entities of three
-- kinds, consumer ids that are fresh per wake.
CREATE FUNCTION pg_temp.tenant_of(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE n % 7 WHEN 1 THEN 'acme' WHEN 4 THEN 'acme' WHEN 6 THEN 'globex' ELSE 'default' END
$$;
CREATE FUNCTION pg_temp.entity_of(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE n % 3 WHEN 0 THEN '/chat/' WHEN 1 THEN '/agent/' ELSE '/task/' END
        || substr(md5('entity ' || n::text), 1, 16)
$$;
CREATE FUNCTION pg_temp.authority_of(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT 'sub_' || substr(md5('authority ' || (n % 200)::text), 1, 8)
$$;
CREATE FUNCTION pg_temp.consumer_of(n bigint, k bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT 'w_' || substr(md5('wake ' || k::text || ' of ' || n::text), 1, 24)
$$;
