DROP TABLE number_floor;
