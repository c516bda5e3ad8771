-- Up Migration: what one account has of what all share.

-- Mails to one mailbox that users ask for: those that wait for their turn, and those that had it not long ago.
CREATE TABLE mail_turns (
  job_id text COLLATE "C" PRIMARY KEY,
  -- sha256 of the mailbox's address.
  mailbox bytea NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- When a job that waits is to ask again. One that does not has given up its place in the line.
  again_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Null while it waits.
  granted_at timestamptz
);
CREATE INDEX ON mail_turns (mailbox, granted_at);
CREATE INDEX ON mail_turns (again_at);

-- Files whose bytes count for an account, from before they are kept until they are deleted.
CREATE TABLE stored_files (
  -- In the store of files.
  name text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL,
  bytes bigint NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON stored_files (stored_at);

-- The sum of them.
CREATE TABLE stored_bytes (
  account_id text COLLATE "C" PRIMARY KEY,
  bytes bigint NOT NULL
) WITH (fillfactor = 50);

-- The oldest sessions of an account are found by it.
CREATE INDEX ON refresh_tokens (account_id, expires_at);
