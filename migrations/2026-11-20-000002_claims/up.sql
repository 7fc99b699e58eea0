-- Claims: what is fixed at mint, what a re-mint renews, and how it ended; and beside them the
-- leases of the live ones. The lease is a table of its own because a heartbeat writes it every few
-- seconds: one narrow row, no index but its key, room on the page, so that every renewal is
-- heap-only.

-- A written row count other than the one intended is a bug; the transaction must not commit.
CREATE FUNCTION claims_expect_rows(written bigint, intended bigint, what text) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF written <> intended THEN
        RAISE EXCEPTION 'wrote % rows of %, meant %', written, what, intended
            USING ERRCODE = 'assert_failure', CONSTRAINT = 'claims_expect_rows';
    END IF;
    RETURN written;
END
$$;
COMMENT ON FUNCTION claims_expect_rows(bigint, bigint, text) IS
    'Aborts a decision whose guarded writes met other rows than it had locked (I4, I10).';

CREATE TABLE consumer_claims (
    tenant_id                 text COLLATE "C" NOT NULL,
    consumer_id               text COLLATE "C" NOT NULL,
    epoch                     bigint           NOT NULL,
    entity_url                text COLLATE "C" NOT NULL,
    stream_path               text COLLATE "C" NOT NULL,
    authority                 text COLLATE "C" NOT NULL,
    wake_id                   text COLLATE "C" NOT NULL,
    runner_id                 text COLLATE "C" NOT NULL,
    request_id                text COLLATE "C" NOT NULL,
    claimed_at                timestamptz      NOT NULL,
    ceiling_at                timestamptz,
    lease_ttl_ms              integer          NOT NULL,
    fence                     bigint           NOT NULL,
    token_digest              bytea            NOT NULL,
    state                     text             NOT NULL,
    superseded_by_consumer_id text COLLATE "C",
    superseded_by_epoch       bigint,
    ended_at                  timestamptz,
    end_reason                text,
    entity_cleared            boolean,
    lease_expires_at          timestamptz,
    last_heartbeat_at         timestamptz,
    acked_streams             jsonb,
    error_message             text,
    progress                  text,

    CONSTRAINT consumer_claims_pkey PRIMARY KEY (tenant_id, consumer_id, epoch),
    CONSTRAINT claim_consumer_id_length CHECK (octet_length(consumer_id) BETWEEN 1 AND 256),
    CONSTRAINT claim_epoch_min CHECK (epoch >= 1),
    CONSTRAINT claim_stream_of_entity CHECK (
        starts_with(stream_path, entity_url || '/')
        AND position('/' IN substr(stream_path, length(entity_url) + 2)) = 0
        AND length(stream_path) > length(entity_url) + 1),
    CONSTRAINT claim_names_length CHECK (
        octet_length(authority) <= 256 AND octet_length(wake_id) <= 256
        AND octet_length(runner_id) <= 256 AND octet_length(request_id) <= 256),
    CONSTRAINT claim_ceiling_bounds CHECK (
        ceiling_at >= claimed_at + interval '1 second'
        AND ceiling_at <= claimed_at + interval '24 hours'),
    CONSTRAINT claim_lease_ttl_bounds CHECK (lease_ttl_ms BETWEEN 1000 AND 600000),
    CONSTRAINT claim_fence_min CHECK (fence >= 1),
    CONSTRAINT claim_token_digest_length CHECK (octet_length(token_digest) = 32),
    CONSTRAINT claim_state_known CHECK (
        state IN ('active', 'superseded', 'released', 'failed', 'expired', 'revoked')),
    CONSTRAINT claim_superseded_by_both_or_neither CHECK (
        (superseded_by_consumer_id IS NULL) = (superseded_by_epoch IS NULL)),
    CONSTRAINT claim_superseded_by_matches_state CHECK (
        CASE state
            WHEN 'active' THEN superseded_by_epoch IS NULL
            WHEN 'superseded' THEN superseded_by_epoch IS NOT NULL
            ELSE true
        END),
    CONSTRAINT claim_ended_iff_terminal CHECK (
        (state IN ('active', 'superseded')) = (ended_at IS NULL)),
    CONSTRAINT claim_ending_is_whole CHECK (
        (ended_at IS NULL) = (end_reason IS NULL)
        AND (ended_at IS NULL) = (entity_cleared IS NULL)
        AND (ended_at IS NULL) = (lease_expires_at IS NULL)
        AND (ended_at IS NULL) = (error_message IS NULL)),
    CONSTRAINT claim_acks_iff_done CHECK (
        (state IN ('released', 'failed')) = (acked_streams IS NOT NULL)),
    CONSTRAINT claim_end_reason_matches_state CHECK (
        CASE state
            WHEN 'released' THEN end_reason = 'done'
            WHEN 'failed' THEN end_reason = 'failed'
            WHEN 'expired' THEN end_reason IN ('lease_lapsed', 'ceiling_reached')
            ELSE true
        END),
    CONSTRAINT claim_cleared_was_current CHECK (
        NOT coalesce(entity_cleared, false) OR superseded_by_epoch IS NULL),
    CONSTRAINT claim_texts_length CHECK (
        octet_length(error_message) <= 1024 AND octet_length(progress) <= 256
        AND octet_length(end_reason) <= 256)
);

-- I1, and the way to an entity's active claim.
CREATE UNIQUE INDEX consumer_claims_one_active
    ON consumer_claims (tenant_id, entity_url) WHERE state = 'active';
-- KILL ends every superseded claim of an entity too.
CREATE INDEX consumer_claims_superseded
    ON consumer_claims (tenant_id, entity_url) WHERE state = 'superseded';
-- ListClaims of an entity, of a runner.
CREATE INDEX consumer_claims_by_entity ON consumer_claims (tenant_id, entity_url, claimed_at);
CREATE INDEX consumer_claims_by_runner ON consumer_claims (tenant_id, runner_id, claimed_at);
-- M2: the newest claim that carries a request id.
CREATE INDEX consumer_claims_by_request
    ON consumer_claims (tenant_id, consumer_id, entity_url, request_id, fence)
    WHERE request_id <> '';
-- Retention (T1).
CREATE INDEX consumer_claims_by_end ON consumer_claims (ended_at) WHERE ended_at IS NOT NULL;

COMMENT ON TABLE consumer_claims IS
    'Who works on an entity, with what right, and how that ended. A terminal row never changes (I4).';
COMMENT ON COLUMN consumer_claims.epoch IS 'Generation number, given by the authority or issued (M3).';
COMMENT ON COLUMN consumer_claims.fence IS 'Fence of the last accepted mint or re-mint (M2).';
COMMENT ON COLUMN consumer_claims.token_digest IS
    'SHA-256 of the one valid write token; kept after the end (D2). The token itself is nowhere (I12).';
COMMENT ON COLUMN consumer_claims.ceiling_at IS 'End of the claim''s whole life, counted from mint (M6).';
COMMENT ON COLUMN consumer_claims.lease_ttl_ms IS 'The claim''s own length of lease in milliseconds (M6).';
COMMENT ON COLUMN consumer_claims.lease_expires_at IS 'The final lease, once ended (I7); before that it is in claim_leases.';
COMMENT ON COLUMN consumer_claims.last_heartbeat_at IS 'The last heartbeat, once ended; before that it is in claim_leases.';
COMMENT ON COLUMN consumer_claims.progress IS 'What the holder last said, once ended; before that it is in claim_leases.';
COMMENT ON COLUMN consumer_claims.acked_streams IS
    'As the accepted done gave them: [{"path": …, "offset": …}] (D7); null if it ended otherwise.';
COMMENT ON COLUMN consumer_claims.entity_cleared IS 'The claim was its entity''s current one when it ended (D4).';
COMMENT ON INDEX consumer_claims_one_active IS 'I1: at most one active claim per entity.';
COMMENT ON CONSTRAINT claim_epoch_min ON consumer_claims IS 'Epochs begin at 1 (M3).';
COMMENT ON CONSTRAINT claim_stream_of_entity ON consumer_claims IS
    'A stream is its entity''s URL, a slash, and one segment.';
COMMENT ON CONSTRAINT claim_ceiling_bounds ON consumer_claims IS 'M6: 1 s to 24 h after mint.';
COMMENT ON CONSTRAINT claim_lease_ttl_bounds ON consumer_claims IS 'M6: 1 s to 10 min.';
COMMENT ON CONSTRAINT claim_fence_min ON consumer_claims IS 'A claim came from an accepted mint (I6).';
COMMENT ON CONSTRAINT claim_token_digest_length ON consumer_claims IS 'A SHA-256 digest, never a token (I12).';
COMMENT ON CONSTRAINT claim_state_known ON consumer_claims IS
    'The six states; the last four are terminal (I4).';
COMMENT ON CONSTRAINT claim_superseded_by_both_or_neither ON consumer_claims IS
    'M4: a successor''s identity is whole or absent.';
COMMENT ON CONSTRAINT claim_superseded_by_matches_state ON consumer_claims IS
    'M4: a superseded claim names its successor; an active one has none.';
COMMENT ON CONSTRAINT claim_ended_iff_terminal ON consumer_claims IS
    'A claim has ended exactly when its state is terminal.';
COMMENT ON CONSTRAINT claim_ending_is_whole ON consumer_claims IS
    'D3, I7: an ending has its time, reason, outcome for the entity and final lease, together or not at all.';
COMMENT ON CONSTRAINT claim_acks_iff_done ON consumer_claims IS 'D7: acks are those of an accepted done.';
COMMENT ON CONSTRAINT claim_end_reason_matches_state ON consumer_claims IS 'D9.';
COMMENT ON CONSTRAINT claim_cleared_was_current ON consumer_claims IS
    'D4: a superseded claim was not the current one when it ended.';

CREATE TABLE claim_leases (
    epoch             bigint           NOT NULL,
    lease_expires_at  timestamptz      NOT NULL,
    heard_at          timestamptz      NOT NULL,
    last_heartbeat_at timestamptz,
    ceiling_at        timestamptz,
    lease_ttl_ms      integer          NOT NULL,
    superseded        boolean          NOT NULL,
    stop              boolean          NOT NULL,
    tenant_id         text COLLATE "C" NOT NULL,
    consumer_id       text COLLATE "C" NOT NULL,
    token_digest      bytea            NOT NULL,
    progress          text,

    CONSTRAINT claim_leases_pkey PRIMARY KEY (tenant_id, consumer_id, epoch),
    CONSTRAINT lease_epoch_min CHECK (epoch >= 1),
    CONSTRAINT lease_expiry_is_finite CHECK (isfinite(lease_expires_at)),
    CONSTRAINT lease_ends_by_ceiling CHECK (lease_expires_at <= ceiling_at),
    CONSTRAINT lease_ttl_bounds CHECK (lease_ttl_ms BETWEEN 1000 AND 600000),
    CONSTRAINT lease_token_digest_length CHECK (octet_length(token_digest) = 32),
    CONSTRAINT lease_progress_length CHECK (octet_length(progress) <= 256)
) WITH (
    -- Room for the next version of a row beside the last one.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05
);

COMMENT ON TABLE claim_leases IS
    'The living half of a live claim: all that a heartbeat reads or writes. Made with the claim, deleted with its end (I7). No index but the key, so that every renewal is heap-only.';
COMMENT ON COLUMN claim_leases.lease_expires_at IS
    'The time to which the holder is trusted, by the database clock; never null, never moved back (H2).';
COMMENT ON COLUMN claim_leases.heard_at IS 'Mint, re-mint or last heartbeat: decides who an outage protects (R6).';
COMMENT ON COLUMN claim_leases.superseded IS 'A newer claim took over; heartbeats are refused (H1).';
COMMENT ON COLUMN claim_leases.stop IS 'The directive: the entity is paused or stopping (H5).';
COMMENT ON CONSTRAINT lease_epoch_min ON claim_leases IS 'Epochs begin at 1 (M3).';
COMMENT ON CONSTRAINT lease_expiry_is_finite ON claim_leases IS 'I7: a reaper must be able to trust the lease.';
COMMENT ON CONSTRAINT lease_ends_by_ceiling ON claim_leases IS 'M6, H2: no lease runs beyond the ceiling.';
COMMENT ON CONSTRAINT lease_ttl_bounds ON claim_leases IS 'M6: 1 s to 10 min.';
COMMENT ON CONSTRAINT lease_token_digest_length ON claim_leases IS 'A SHA-256 digest, never a token (I12).';
