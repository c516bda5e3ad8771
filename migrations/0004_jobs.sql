-- Up Migration: what jobs need beside their events. Personal and large data lies here, and is deleted 30 days after a job's end.

CREATE TABLE job_payloads (
  -- The id that the job's event names; occurrences share the payload of their repeating job.
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
  -- A waiting item is not tried before.
  next_at timestamptz NOT NULL DEFAULT '-infinity',
  -- Of a failed item, or of its last attempt.
  error text,
  result text,
  settled_at timestamptz,
  PRIMARY KEY (payload_id, item)
);
CREATE INDEX ON job_items (payload_id, next_at, item) WHERE state = 'waiting';

-- The worker that a job is leased to. It keeps others away; the log decides whose attempt counts.
CREATE TABLE job_leases (
  job_id text COLLATE "C" PRIMARY KEY,
  worker text NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Effects that happened and must not happen twice.
CREATE TABLE job_effects (
  job_id text COLLATE "C" NOT NULL,
  effect text NOT NULL,
  done_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job_id, effect)
);

-- Circuit breakers of providers, shared by all processes.
CREATE TABLE breakers (
  name text PRIMARY KEY,
  -- No call is made before; null: the breaker is closed.
  open_until timestamptz,
  opened_at timestamptz,
  -- Until then one process makes the one call that a half-open breaker lets through.
  half_open_until timestamptz NOT NULL DEFAULT '-infinity',
  reason text NOT NULL DEFAULT ''
);
