-- An entity and a consumer that nobody else will have.
\set entity random(1, 1000000000000000)
\set consumer random(1, 1000000000000000)
