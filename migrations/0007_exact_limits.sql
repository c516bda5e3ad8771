-- Up Migration: what an account may have is counted exactly, and no longer than it is there.

-- When the file was found in the store. Null until somebody has looked: a process can die after it claimed the bytes and before it kept the file.
ALTER TABLE stored_files ADD COLUMN found_at timestamptz;
CREATE INDEX ON stored_files (stored_at) WHERE found_at IS NULL;

-- Jobs of accounts near their limits that are about to be written down: until they are, they are counted here.
CREATE UNLOGGED TABLE jobs_under_way (
  job_id text COLLATE "C" PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL,
  -- Of the job's stream before: as soon as that is longer, the job is counted there. 0: the job is new.
  version integer NOT NULL,
  -- Whether it is one of the repeating jobs of which an account may have so many.
  repeats boolean NOT NULL,
  -- What has not been written down until then never is.
  expires_at timestamptz NOT NULL
);
CREATE INDEX ON jobs_under_way (account_id);
