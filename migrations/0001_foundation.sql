-- Up Migration: what is never rebuilt. The schema is the namespace; everything here is named without it.

-- Substring search folds case for every letter only by this (projections/songs.ts).
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

-- The embedded log: topics, the next offset of each partition, and the records.
CREATE TABLE log_topics (
  topic text PRIMARY KEY,
  partitions integer NOT NULL CHECK (partitions > 0),
  retention_ms bigint NOT NULL,
  compacted boolean NOT NULL
);

CREATE TABLE log_partitions (
  topic text NOT NULL REFERENCES log_topics,
  partition integer NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
);

CREATE TABLE log_records (
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  key text NOT NULL,
  value bytea NOT NULL,
  headers json NOT NULL,
  appended_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, "offset")
);

-- The life of the log that this database belongs to, whichever adapter holds it.
CREATE TABLE log_identity (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  incarnation uuid NOT NULL,
  initialised_at timestamptz,
  -- The Postgres database that owns the log, as this one knows it; null for an embedded log.
  owner_system_identifier text,
  owner_database_oid text,
  -- Whether that was this database, which can have another identity since: after an upgrade, or from a dump.
  owned boolean NOT NULL DEFAULT true,
  -- When this database took the log over from another one.
  adopted_at timestamptz
);

-- The version of its genesis stream from which on this database owns a partition; without a row it is 1.
CREATE TABLE log_ownership (
  topic text NOT NULL,
  partition integer NOT NULL,
  version integer NOT NULL,
  PRIMARY KEY (topic, partition)
);

-- Processes that may be members of this database's consumer groups. A row that came with a copy of the database names another
-- start of Postgres than that of the copy.
CREATE TABLE log_clients (
  client_id text PRIMARY KEY,
  postgres_started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);

-- Offsets that an operator declared void: what stands at them is a loser from then on. A copy of the topic of voids.
CREATE TABLE log_voids (
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  -- The last one: an unreadable batch and a gap are of more than one offset.
  last_offset bigint NOT NULL CHECK (last_offset >= "offset"),
  reason text NOT NULL,
  declared_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, "offset")
);

-- A recovery of the log that was begun and has not ended. No server starts meanwhile, and the next run goes on with it.
CREATE TABLE log_recovery (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  way text NOT NULL CHECK (way IN ('append', 'anew', 'follow', 'restored')),
  -- How far it has come.
  step text NOT NULL DEFAULT 'begun',
  -- Of the log that it makes, where it makes one.
  incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
  begun_at timestamptz NOT NULL DEFAULT now()
);

-- Records that only the log had, which a new incarnation is to have behind all that this database knows.
CREATE TABLE log_recovery_records (
  topic text NOT NULL,
  partition integer NOT NULL,
  nth integer NOT NULL,
  record_id uuid NOT NULL,
  key text NOT NULL,
  value bytea NOT NULL,
  headers json NOT NULL,
  PRIMARY KEY (topic, partition, nth)
);

-- Generations of the read models: each is one build of one version, in a schema of its own.
CREATE TABLE generations (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version integer NOT NULL,
  -- Among those of its version, from 1.
  generation integer NOT NULL,
  schema_name text NOT NULL UNIQUE,
  state text NOT NULL CHECK (state IN ('building', 'serving', 'retired')),
  created_at timestamptz NOT NULL DEFAULT now(),
  served_at timestamptz,
  retired_at timestamptz,
  UNIQUE (version, generation)
);

-- One row per generation that no crash has touched since its checkpoints last reached the ends of the log. UNLOGGED, so that
-- crash recovery and promotion empty it: they can take back commits that were announced.
CREATE UNLOGGED TABLE crash_guard (
  generation integer PRIMARY KEY
);
