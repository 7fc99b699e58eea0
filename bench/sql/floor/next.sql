-- The next entity and its consumer, counted by the one client.
\set entity :entity + 1
\set consumer :entity
