-- The first schema. Instants are microseconds since the epoch, UTC; nothing here reads a clock.

CREATE TABLE messages (
  sid          TEXT PRIMARY KEY,
  bucket       INTEGER NOT NULL,
  account_sid  TEXT NOT NULL,
  service_sid  TEXT,
  direction    TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound-api', 'outbound-reply')),
  status       TEXT NOT NULL CHECK (status IN (
                 'accepted', 'scheduled', 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'read', 'failed',
                 'canceled', 'receiving', 'received', 'partially_delivered')),
  sender       TEXT,
  sender_sid   TEXT,
  recipient    TEXT NOT NULL,
  body         TEXT NOT NULL,
  media_urls   TEXT NOT NULL,           -- a JSON array
  num_segments INTEGER NOT NULL,
  send_at      INTEGER,
  due_at       INTEGER NOT NULL,        -- the timer the message agrees with
  expires_at   INTEGER NOT NULL,
  callback_url TEXT,                    -- the message's own; its application's and service's are looked up when told
  attempts     INTEGER NOT NULL,
  claim        TEXT,                    -- the run of a node that may be handing it over
  doubt_at     INTEGER,
  carrier_ref  TEXT,
  error_code   INTEGER,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  sent_at      INTEGER,
  listed_at    INTEGER NOT NULL,        -- sent_at, else created_at: the order of lists
  options      TEXT NOT NULL            -- a JSON object
) STRICT, WITHOUT ROWID;

-- Lists by account, newest first; the recipient is in it so that a filter on To reads no message it does not return.
CREATE INDEX messages_listed ON messages (account_sid, listed_at, sid, recipient);

-- Narrow and apart from the messages. A timer that its message does not agree with is ignored.
CREATE TABLE timers (
  due_at INTEGER NOT NULL,
  sid    TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  PRIMARY KEY (due_at, sid)
) STRICT, WITHOUT ROWID;

-- How many scheduled messages an account has, for its cap.
CREATE TABLE scheduled_counts (
  account_sid TEXT PRIMARY KEY,
  scheduled   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The first answer to a request that may be repeated.
CREATE TABLE idempotency (
  account_sid TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  sid         TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (account_sid, key)
) STRICT, WITHOUT ROWID;

-- The sender a recipient had last from a service.
CREATE TABLE sticky (
  service_sid TEXT NOT NULL,
  recipient   TEXT NOT NULL,
  sender_sid  TEXT NOT NULL,
  bucket      INTEGER NOT NULL,
  PRIMARY KEY (service_sid, recipient)
) STRICT, WITHOUT ROWID;

-- A recipient's STOP; scope is a messaging service or a sender's address.
CREATE TABLE opt_outs (
  account_sid TEXT NOT NULL,
  scope       TEXT NOT NULL,
  recipient   TEXT NOT NULL,
  bucket      INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (account_sid, recipient, scope)
) STRICT, WITHOUT ROWID;

-- Which message a carrier's id means.
CREATE TABLE carrier_refs (
  connection  TEXT NOT NULL,
  carrier_ref TEXT NOT NULL,
  sid         TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (connection, carrier_ref)
) STRICT, WITHOUT ROWID;

-- Receipts that came before the answer they belong to.
CREATE TABLE parked_receipts (
  place       INTEGER PRIMARY KEY,      -- the order they came in
  connection  TEXT NOT NULL,
  carrier_ref TEXT NOT NULL,
  event       TEXT NOT NULL,
  error_code  INTEGER,
  at          INTEGER NOT NULL,
  UNIQUE (connection, carrier_ref, event)
) STRICT;

-- When a sender's rate allows the next message, as of its last claim.
CREATE TABLE lanes (
  sender_sid TEXT PRIMARY KEY,
  free_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The outbox: calls to customers, written with the change that they announce.
CREATE TABLE callbacks (
  due_at      INTEGER NOT NULL,
  id          TEXT NOT NULL,            -- message SID and status: also the idempotency token of the call
  account_sid TEXT NOT NULL,
  message_sid TEXT NOT NULL,
  status      TEXT NOT NULL,
  url         TEXT NOT NULL,
  attempts    INTEGER NOT NULL,
  first_at    INTEGER NOT NULL,
  sender      TEXT,
  recipient   TEXT NOT NULL,
  service_sid TEXT,
  error_code  INTEGER,
  PRIMARY KEY (due_at, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE media (
  sid          TEXT PRIMARY KEY,
  message_sid  TEXT NOT NULL,
  account_sid  TEXT NOT NULL,
  content_type TEXT NOT NULL,
  digest       TEXT NOT NULL,           -- SHA-256 of the bytes, in blobs
  size         INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  place        INTEGER NOT NULL         -- in the order the message gave them
) STRICT, WITHOUT ROWID;
CREATE INDEX media_of_message ON media (message_sid, place);
CREATE INDEX media_of_digest ON media (digest);

CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  body   BLOB NOT NULL
) STRICT;

-- Accounts, keys, services, senders, applications: one document each.
CREATE TABLE resources (
  sid        TEXT PRIMARY KEY,
  unique_key TEXT,
  data       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX resources_unique ON resources (unique_key) WHERE unique_key IS NOT NULL;
