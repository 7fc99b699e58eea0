-- A clock that takes five milliseconds to read: what may come between two readings has time to come.
CREATE SCHEMA slow;
CREATE FUNCTION slow.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_sleep(0.005);
    RETURN pg_catalog.clock_timestamp();
END
$$;
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = slow, pg_catalog, public', current_database());
END $$;
