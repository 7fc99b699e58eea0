-- Events: one for each accepted change, written in the transaction that makes it (E1, I11).
-- A sequence is drawn while the entity is locked, so the events of an entity are in order; those of
-- different entities may commit in another order than they drew (E2).

CREATE SEQUENCE claim_event_sequence AS bigint;

CREATE TABLE claim_events (
    sequence    bigint           NOT NULL DEFAULT nextval('claim_event_sequence'),
    tenant_id   text COLLATE "C" NOT NULL,
    entity_url  text COLLATE "C" NOT NULL,
    stream_path text COLLATE "C" NOT NULL,
    consumer_id text COLLATE "C" NOT NULL,
    epoch       bigint           NOT NULL,
    fence       bigint           NOT NULL,
    type        text             NOT NULL,
    reason      text             NOT NULL,
    actor       text             NOT NULL,
    occurred_at timestamptz      NOT NULL,

    CONSTRAINT claim_events_pkey PRIMARY KEY (sequence),
    CONSTRAINT event_type_known CHECK (
        type IN ('minted', 'reminted', 'superseded', 'released', 'failed', 'expired', 'revoked', 'signaled')),
    CONSTRAINT event_names_a_claim_or_a_signal CHECK (
        CASE type
            WHEN 'signaled' THEN
                consumer_id = '' AND epoch = 0 AND stream_path = '' AND fence >= 0
                AND split_part(reason, ':', 1) IN ('stop', 'cont', 'term', 'kill')
            ELSE consumer_id <> '' AND epoch >= 1 AND stream_path <> '' AND fence >= 1
        END),
    CONSTRAINT event_actor_given CHECK (actor <> '')
);
ALTER SEQUENCE claim_event_sequence OWNED BY claim_events.sequence;

-- ListClaimEvents and WatchClaimEvents of an entity, of a consumer.
CREATE INDEX claim_events_by_entity ON claim_events (tenant_id, entity_url, sequence);
CREATE INDEX claim_events_by_consumer ON claim_events (tenant_id, consumer_id, sequence);

COMMENT ON TABLE claim_events IS 'One row for each accepted change (E1, I11); pruned after the retention (T1).';
COMMENT ON COLUMN claim_events.reason IS
    'Why: the end reason (D9), why a claim was superseded, or the signal''s name and what its operator said.';
COMMENT ON COLUMN claim_events.actor IS 'holder, mint (a newer claim), reaper, or the operator''s identity (D9).';
COMMENT ON CONSTRAINT event_type_known ON claim_events IS 'One type for each kind of accepted change (E1).';
COMMENT ON CONSTRAINT event_actor_given ON claim_events IS 'Every change has an author (D9).';
COMMENT ON CONSTRAINT event_names_a_claim_or_a_signal ON claim_events IS
    'A signal concerns the entity and carries its fence; every other event concerns one claim.';

CREATE TABLE claim_events_pruned (
    only_row         boolean NOT NULL DEFAULT true,
    highest_sequence bigint  NOT NULL DEFAULT 0,

    CONSTRAINT claim_events_pruned_pkey PRIMARY KEY (only_row),
    CONSTRAINT claim_events_pruned_one_row CHECK (only_row)
);
INSERT INTO claim_events_pruned DEFAULT VALUES;

COMMENT ON TABLE claim_events_pruned IS
    'The highest sequence that pruning removed: resuming below it is refused, never silently skipped (E3).';
