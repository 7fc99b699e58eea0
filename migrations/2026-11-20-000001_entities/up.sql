-- Entities and the high-water marks of their epochs. Both outlive all clean-up (T2).
--
-- Key columns are COLLATE "C" throughout: rows are locked in key order, and that order must be the
-- same in Rust (bytes) and in SQL; nor may a change of the system's collations corrupt an index
-- that carries a rule.

CREATE TABLE entity_dispatch_state (
    tenant_id           text COLLATE "C" NOT NULL,
    entity_url          text COLLATE "C" NOT NULL,
    state               text             NOT NULL DEFAULT 'idle',
    fence               bigint           NOT NULL DEFAULT 0,
    current_consumer_id text COLLATE "C",
    current_epoch       bigint,
    last_claimed_at     timestamptz,
    last_ended_at       timestamptz,
    last_completed_at   timestamptz,
    last_error          text,

    CONSTRAINT entity_dispatch_state_pkey PRIMARY KEY (tenant_id, entity_url),
    CONSTRAINT entity_tenant_id_length CHECK (octet_length(tenant_id) BETWEEN 1 AND 256),
    CONSTRAINT entity_url_form CHECK (
        octet_length(entity_url) BETWEEN 2 AND 1024
        AND left(entity_url, 1) = '/' AND right(entity_url, 1) <> '/'
        AND position('//' IN entity_url) = 0),
    CONSTRAINT entity_state_known CHECK (
        state IN ('idle', 'running', 'paused', 'stopping', 'stopped', 'killed')),
    CONSTRAINT entity_fence_not_negative CHECK (fence >= 0),
    CONSTRAINT entity_current_both_or_neither CHECK (
        (current_consumer_id IS NULL) = (current_epoch IS NULL)),
    CONSTRAINT entity_current_matches_state CHECK (
        CASE
            WHEN state IN ('running', 'stopping') THEN current_epoch IS NOT NULL
            WHEN state IN ('idle', 'stopped', 'killed') THEN current_epoch IS NULL
            ELSE true
        END),
    CONSTRAINT entity_current_was_claimed CHECK (
        current_epoch IS NULL OR (current_epoch >= 1 AND fence >= 1 AND last_claimed_at IS NOT NULL)),
    CONSTRAINT entity_last_error_length CHECK (octet_length(last_error) <= 1024)
) WITH (fillfactor = 70);

COMMENT ON TABLE entity_dispatch_state IS
    'The thing claimed. Its row is locked first by every decision about it; made on first use, never removed (T2).';
COMMENT ON COLUMN entity_dispatch_state.fence IS
    'Fence of the last accepted mint or re-mint; 0 if never claimed; only rises (I6).';
COMMENT ON COLUMN entity_dispatch_state.current_epoch IS
    'With current_consumer_id, the identity of the one claim that may write (I2).';
COMMENT ON COLUMN entity_dispatch_state.last_ended_at IS 'End of the last claim that was current (D8).';
COMMENT ON COLUMN entity_dispatch_state.last_completed_at IS 'Last done that completed the current claim (D8).';
COMMENT ON COLUMN entity_dispatch_state.last_error IS 'Message of the last done that failed the current claim (D8).';
COMMENT ON CONSTRAINT entity_url_form ON entity_dispatch_state IS
    'Begins with a slash, 2 to 1024 bytes, no empty segment.';
COMMENT ON CONSTRAINT entity_state_known ON entity_dispatch_state IS
    'The six states; stopped and killed are terminal (I9).';
COMMENT ON CONSTRAINT entity_fence_not_negative ON entity_dispatch_state IS
    'A fence counts the accepted mints of the entity (I6).';
COMMENT ON CONSTRAINT entity_current_both_or_neither ON entity_dispatch_state IS
    'An identity is whole or absent (I2).';
COMMENT ON CONSTRAINT entity_current_matches_state ON entity_dispatch_state IS
    'I3: running and stopping imply a current claim; idle, stopped and killed imply none.';
COMMENT ON CONSTRAINT entity_current_was_claimed ON entity_dispatch_state IS
    'A current claim came from an accepted mint, which raised the fence (I6).';

CREATE TABLE entity_epochs (
    tenant_id  text COLLATE "C" NOT NULL,
    entity_url text COLLATE "C" NOT NULL,
    authority  text COLLATE "C" NOT NULL,
    highest    bigint           NOT NULL,

    CONSTRAINT entity_epochs_pkey PRIMARY KEY (tenant_id, entity_url, authority),
    CONSTRAINT entity_epochs_authority_length CHECK (octet_length(authority) <= 256),
    CONSTRAINT entity_epochs_highest_min CHECK (highest >= 1)
) WITH (fillfactor = 70);

COMMENT ON TABLE entity_epochs IS
    'Highest epoch ever accepted for an entity and authority (M3, I6); outlives the claims (T2).';
COMMENT ON COLUMN entity_epochs.authority IS 'Who numbers the epochs; empty is this service.';
COMMENT ON CONSTRAINT entity_epochs_highest_min ON entity_epochs IS 'Epochs begin at 1.';
