-- Up Migration: the incarnation of the cache that is valid. One row, and no value of its id comes twice.

CREATE TABLE cache_state (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id text NOT NULL,
  previous text NOT NULL,
  enabled boolean NOT NULL,
  -- Run id of the Redis server that holds the incarnation.
  run_id text NOT NULL,
  -- The generation whose answers are cached.
  generation integer NOT NULL,
  held_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);

INSERT INTO cache_state (id, previous, enabled, run_id, generation) VALUES ('never', '', false, '', 0);
