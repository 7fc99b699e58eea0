DROP TABLE claim_events_pruned;
DROP TABLE claim_events;
