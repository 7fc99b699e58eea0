DROP TABLE claim_leases;
DROP TABLE consumer_claims;
DROP FUNCTION claims_expect_rows(bigint, bigint, text);
