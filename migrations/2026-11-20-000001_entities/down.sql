DROP TABLE entity_epochs;
DROP TABLE entity_dispatch_state;
