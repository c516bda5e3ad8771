-- Up Migration: what mail servers say of recipients, apart from what they say of themselves.

-- Mails whose recipient was refused for now. They are tried again for some hours from the first refusal on.
CREATE TABLE mail_refusals (
  job_id text COLLATE "C" NOT NULL,
  -- Of a batch, from 0; -1 is the one mail of a job.
  item integer NOT NULL,
  refusals integer NOT NULL DEFAULT 1,
  since timestamptz NOT NULL DEFAULT now(),
  refused_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job_id, item)
);
CREATE INDEX ON mail_refusals (refused_at);

-- Of mail, the domain of the recipient at which the last call failed: the next trial goes to another one where there is one.
ALTER TABLE breakers ADD COLUMN failed_domain text;
