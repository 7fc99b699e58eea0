-- Whether the service is able to hear heartbeats, and what its reapers did.

CREATE TABLE service_liveness (
    only_row        boolean     NOT NULL DEFAULT true,
    last_signed_at  timestamptz NOT NULL,
    resumed_at      timestamptz NOT NULL,
    outage_grace_ms bigint      NOT NULL,

    CONSTRAINT service_liveness_pkey PRIMARY KEY (only_row),
    CONSTRAINT service_liveness_one_row CHECK (only_row),
    CONSTRAINT service_liveness_grace_bounds CHECK (outage_grace_ms BETWEEN 0 AND 86400000)
) WITH (fillfactor = 10);

COMMENT ON TABLE service_liveness IS
    'Signed by every server every 2 s over the path that serves heartbeats (R6). No row: no server ever signed, which counts as an outage.';
COMMENT ON COLUMN service_liveness.resumed_at IS
    'End of the last outage: set by the signature that found the one before stale.';
COMMENT ON COLUMN service_liveness.outage_grace_ms IS
    'How long after resumed_at a claim last heard of before it is protected; kept here so that mint and reaper use the same.';
COMMENT ON CONSTRAINT service_liveness_grace_bounds ON service_liveness IS
    'R6: 0 turns the protection off; beyond a day nobody would be expired.';

CREATE TABLE reaper_passes (
    id                bigint      GENERATED ALWAYS AS IDENTITY,
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz NOT NULL,
    scanned           bigint      NOT NULL,
    expired           bigint      NOT NULL,
    failed            bigint      NOT NULL,
    held_back         bigint      NOT NULL,
    hold_reason       text,
    remaining_due     bigint      NOT NULL,
    oldest_due_age_ms bigint,
    pruned            bigint      NOT NULL,

    CONSTRAINT reaper_passes_pkey PRIMARY KEY (id),
    CONSTRAINT reaper_pass_hold_reason_known CHECK (hold_reason IN ('outage_grace', 'brake')),
    CONSTRAINT reaper_pass_counts_not_negative CHECK (
        scanned >= 0 AND expired >= 0 AND failed >= 0 AND held_back >= 0
        AND remaining_due >= 0 AND pruned >= 0)
);

COMMENT ON TABLE reaper_passes IS 'One row for each pass of a reaper; the newest are kept.';
COMMENT ON COLUMN reaper_passes.hold_reason IS
    'Why due claims were left alone: an outage (R6) or the brake against mass expiry (R7).';
COMMENT ON CONSTRAINT reaper_pass_hold_reason_known ON reaper_passes IS 'R6 or R7.';
COMMENT ON CONSTRAINT reaper_pass_counts_not_negative ON reaper_passes IS 'Claims and rows are counted.';
