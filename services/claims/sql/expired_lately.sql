-- Claims that reapers expired within the brake's span although they had been due for less than it
-- (R7). The table keeps no more than a thousand passes.
SELECT coalesce(sum(p.expired_fresh), 0)::bigint
FROM reaper_passes AS p
WHERE p.ended_at > clock_timestamp() - $1::bigint * interval '1 millisecond'
