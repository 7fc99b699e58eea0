-- Raises the fence of every entity (I6); those in a terminal state too, which is not touched (I9).
WITH raised AS (
    UPDATE entity_dispatch_state
    SET fence = greatest(fence + $1::bigint, $2::bigint)
    RETURNING 1
)
SELECT count(*) FROM raised
