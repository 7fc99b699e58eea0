DROP TABLE reaper_passes;
DROP TABLE service_liveness;
