-- Raises the high-water marks of epochs (M3, I6): those of this service, and, if that is asked for,
-- those of callers' authorities, who may have numbered as they like, up to the top of the range.
WITH raised AS (
    UPDATE entity_epochs
    SET highest = CASE
            WHEN highest > 9223372036854775807 - $1::bigint THEN 9223372036854775807
            ELSE greatest(highest + $2::bigint, $3::bigint) END
    WHERE authority = '' OR $4::boolean
    RETURNING 1
)
SELECT count(*) FROM raised
