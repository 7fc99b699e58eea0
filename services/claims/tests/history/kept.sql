-- What leaves no trace in the rows and is needed to explain a history is kept here.

-- A heartbeat leaves no event. So that one without an answer can be placed, the moments of all renewals
-- are kept; who renewed, and whether by right, is for the checker to say.
CREATE TABLE test_renewals (tenant_id text, consumer_id text, epoch bigint, renewed_at timestamptz);

CREATE FUNCTION test_keep_renewal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_renewals VALUES (new.tenant_id, new.consumer_id, new.epoch, new.last_heartbeat_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_keep_renewal AFTER UPDATE ON claim_leases
    FOR EACH ROW WHEN (new.last_heartbeat_at IS DISTINCT FROM old.last_heartbeat_at)
    EXECUTE FUNCTION test_keep_renewal();

-- Pruning does not tell which claims it removed; and of events it leaves nothing to compare.
CREATE TABLE test_pruned (tenant_id text, consumer_id text, epoch bigint);
CREATE TABLE test_pruned_events (LIKE claim_events);

CREATE FUNCTION test_keep_pruned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_pruned VALUES (old.tenant_id, old.consumer_id, old.epoch);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_keep_pruned AFTER DELETE ON consumer_claims
    FOR EACH ROW EXECUTE FUNCTION test_keep_pruned();

CREATE FUNCTION test_keep_pruned_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_pruned_events VALUES (old.*);
    RETURN NULL;
END
$$;
CREATE TRIGGER test_keep_pruned_event AFTER DELETE ON claim_events
    FOR EACH ROW EXECUTE FUNCTION test_keep_pruned_event();
