-- Up Migration: accounts and their refresh tokens. Nothing of them is on the log, and no rebuild touches them.

CREATE TABLE accounts (
  id text COLLATE "C" PRIMARY KEY,
  -- Taken or not is decided here, however many ask at once.
  username text COLLATE "C" NOT NULL UNIQUE,
  fullname text NOT NULL,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'analytics', 'admin')),
  -- Of the registration, so that a repeated one is recognised.
  command_id uuid NOT NULL UNIQUE,
  body_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE refresh_tokens (
  -- sha256: a token itself is kept nowhere.
  token_hash bytea PRIMARY KEY,
  account_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ON refresh_tokens (account_id);
CREATE INDEX ON refresh_tokens (expires_at);
