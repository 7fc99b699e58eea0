-- What a test database refuses at the moment it happens, because no later look can see it.

CREATE FUNCTION guard_terminal_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.state NOT IN ('active', 'superseded') THEN
        RAISE EXCEPTION 'I4: terminal claim %/%/% changes', old.tenant_id, old.consumer_id, old.epoch;
    END IF;
    IF old.state = 'superseded' AND new.state = 'active' THEN
        RAISE EXCEPTION 'superseded claim %/%/% becomes active', old.tenant_id, old.consumer_id, old.epoch;
    END IF;
    IF (old.entity_url, old.stream_path, old.authority, old.claimed_at, old.ceiling_at)
        IS DISTINCT FROM (new.entity_url, new.stream_path, new.authority, new.claimed_at, new.ceiling_at) THEN
        RAISE EXCEPTION 'what is fixed at mint changes: %/%/%', old.tenant_id, old.consumer_id, old.epoch;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER guard_terminal_claim BEFORE UPDATE ON consumer_claims
    FOR EACH ROW EXECUTE FUNCTION guard_terminal_claim();

CREATE FUNCTION guard_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.lease_expires_at < old.lease_expires_at
        AND old.lease_expires_at <= clock_timestamp() + interval '10 minutes' THEN
        RAISE EXCEPTION 'I7: lease %/%/% moves back', old.tenant_id, old.consumer_id, old.epoch;
    END IF;
    IF old.superseded AND NOT new.superseded THEN
        RAISE EXCEPTION 'lease %/%/% is no longer superseded', old.tenant_id, old.consumer_id, old.epoch;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER guard_lease BEFORE UPDATE ON claim_leases
    FOR EACH ROW EXECUTE FUNCTION guard_lease();

CREATE FUNCTION guard_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.state IN ('stopped', 'killed') AND new.state <> old.state THEN
        RAISE EXCEPTION 'I9: terminal entity %/% changes', old.tenant_id, old.entity_url;
    END IF;
    IF new.fence < old.fence THEN
        RAISE EXCEPTION 'I6: fence of %/% falls', old.tenant_id, old.entity_url;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER guard_entity BEFORE UPDATE ON entity_dispatch_state
    FOR EACH ROW EXECUTE FUNCTION guard_entity();

CREATE FUNCTION guard_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.highest < old.highest THEN
        RAISE EXCEPTION 'I6: high-water mark of %/% falls', old.tenant_id, old.entity_url;
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER guard_mark BEFORE UPDATE ON entity_epochs
    FOR EACH ROW EXECUTE FUNCTION guard_mark();
