-- From where entities and epochs begin to be numbered that this database does not know, although a
-- history may have numbered them that a restore took back. `claim-server fence-bump` raises it.

CREATE TABLE number_floor (
    only_row  boolean NOT NULL DEFAULT true,
    raised_to bigint  NOT NULL DEFAULT 0,
    raised_at timestamptz,

    CONSTRAINT number_floor_pkey PRIMARY KEY (only_row),
    CONSTRAINT number_floor_one_row CHECK (only_row),
    CONSTRAINT number_floor_not_negative CHECK (raised_to >= 0),
    CONSTRAINT number_floor_raised_at_a_time CHECK ((raised_to = 0) = (raised_at IS NULL))
);
INSERT INTO number_floor DEFAULT VALUES;

COMMENT ON TABLE number_floor IS
    'Every fence and every issued epoch of an entity that is new to this database lies above this number (I6, after a restore to an earlier point).';
COMMENT ON COLUMN number_floor.raised_to IS '0 if the database was never set back; only rises.';
COMMENT ON COLUMN number_floor.raised_at IS 'When fence-bump last raised it.';
COMMENT ON CONSTRAINT number_floor_not_negative ON number_floor IS 'Fences and epochs are not negative.';
COMMENT ON CONSTRAINT number_floor_raised_at_a_time ON number_floor IS
    'fence-bump looks for a clock that has been set back since (I6).';
