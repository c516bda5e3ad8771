-- Up Migration: who may still do what. A token names the version of its account and its session; what changed since stands here.

ALTER TABLE accounts
  -- One more with every change of what tokens of the account are good for.
  ADD COLUMN access_version integer NOT NULL DEFAULT 0,
  ADD COLUMN locked boolean NOT NULL DEFAULT false;

-- They were made of bodies with the password in them: guesses could be tried against them quickly.
UPDATE accounts SET body_hash = '';

-- Read by every process from the last id that it knows. Ids are given under a lock, so that they appear in order.
CREATE TABLE access_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL,
  -- Tokens of the account with a lower version have this role now, or are good no more.
  version integer,
  role text CHECK (role IN ('user', 'analytics', 'admin')),
  -- Instead of all tokens of the account, those of one session are good no more.
  session_id text,
  -- All tokens that it is about have expired then.
  needed_until timestamptz NOT NULL,
  CHECK ((version IS NULL) <> (session_id IS NULL))
);
CREATE INDEX ON access_changes (needed_until);

-- From where each account was logged in to: wrong passwords of others do not keep these out.
CREATE TABLE login_addresses (
  account_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
  -- An address of IPv4, or a /56 of IPv6.
  sender text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account_id, sender)
);
