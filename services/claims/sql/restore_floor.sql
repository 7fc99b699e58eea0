-- Raises the number above which everything is numbered from now on, beyond whatever any history of
-- this database can have handed out (I6): to the microseconds since 1970. Numbers rise by one for each
-- accepted mint, which takes longer than a microsecond, so none has ever reached the clock; and this
-- holds for a second restore to the same point too, which knows nothing of the first.
UPDATE number_floor
SET raised_to = greatest(
        raised_to + $1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    raised_at = clock_timestamp()
RETURNING raised_to
