-- How many claims are live, and how many of them active: the whole of which the brake takes its share
-- (R7), and what operators are shown.
SELECT count(*), count(*) FILTER (WHERE NOT l.superseded)
FROM claim_leases AS l
