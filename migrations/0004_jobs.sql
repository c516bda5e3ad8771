-- Up Migration: what jobs need beside their events. What is personal or large lies here, and goes 30 days after a job's end.

CREATE TABLE job_payloads (
  -- As the job's event names it; occurrences share that of the repeating one.
  id text COLLATE "C" PRIMARY KEY,
  payload json NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON job_payloads (created_at);

CREATE TABLE job_items (
  payload_id text COLLATE "C" NOT NULL REFERENCES job_payloads ON DELETE CASCADE,
  item integer NOT NULL,
  payload json NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
  attempts integer NOT NULL DEFAULT 0,
  -- A waiting one is not tried before.
  next_at timestamptz NOT NULL DEFAULT '-infinity',
  -- Of a failed one, or of the last attempt.
  error text,
  result text,
  settled_at timestamptz,
  PRIMARY KEY (payload_id, item)
);
CREATE INDEX ON job_items (payload_id, next_at, item) WHERE state = 'waiting';

-- Who works on a job now. Only a hint for others to stay away: the log decides whose attempt counts.
CREATE TABLE job_leases (
  job_id text COLLATE "C" PRIMARY KEY,
  worker text NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What was done that must not be done twice.
CREATE TABLE job_effects (
  job_id text COLLATE "C" NOT NULL,
  effect text NOT NULL,
  done_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job_id, effect)
);

-- Providers that keep failing are left alone by all.
CREATE TABLE breakers (
  name text PRIMARY KEY,
  -- Nothing is asked of it before; null: closed.
  open_until timestamptz,
  opened_at timestamptz,
  -- Whoever makes the one trial after that.
  trial_until timestamptz NOT NULL DEFAULT '-infinity',
  reason text NOT NULL DEFAULT ''
);
