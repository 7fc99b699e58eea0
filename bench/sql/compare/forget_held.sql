-- Takes away the claims of the holders, which have a tenant of their own, and all that came into being
-- with them.
DELETE FROM claim_leases WHERE tenant_id = 'bench';
DELETE FROM consumer_claims WHERE tenant_id = 'bench';
DELETE FROM claim_events WHERE tenant_id = 'bench';
DELETE FROM entity_epochs WHERE tenant_id = 'bench';
DELETE FROM entity_dispatch_state WHERE tenant_id = 'bench';
