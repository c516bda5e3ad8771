-- Up Migration: which cache counts. One row, and no value of its id comes twice.

CREATE TABLE cache_state (
  lone boolean PRIMARY KEY DEFAULT true CHECK (lone),
  id text NOT NULL,
  previous text NOT NULL,
  "on" boolean NOT NULL,
  -- Of the server that has the incarnation.
  run_id text NOT NULL,
  -- The build whose answers are cached.
  generation integer NOT NULL,
  held_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);

INSERT INTO cache_state (id, previous, "on", run_id, generation) VALUES ('never', '', false, '', 0);
