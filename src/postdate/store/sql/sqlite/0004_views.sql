-- What people look at: where each message has been, lists that are quick at any depth, counts, and the calls we made.

-- Where the message has been (core/trail.py), and the part of the lists it stands in (store/shelf.py).
ALTER TABLE messages ADD COLUMN trail TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN shelf INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET shelf = CASE status
  WHEN 'sending' THEN 1 WHEN 'failed' THEN 3 WHEN 'undelivered' THEN 4 WHEN 'canceled' THEN 5 WHEN 'received' THEN 6
  WHEN 'receiving' THEN 6 ELSE 2 END
WHERE status NOT IN ('accepted', 'scheduled', 'queued', 'sending') OR doubt_at IS NOT NULL;

-- Two lists in place of one, so that a message is written to them as often as before: when it is added, and when it is
-- done. The first holds nothing that changes meanwhile, the second all that filters ask for.
DROP INDEX messages_listed;
CREATE INDEX messages_open ON messages (account_sid, shelf, listed_at, sid, recipient, service_sid, due_at)
WHERE shelf < 2;
CREATE INDEX messages_done ON messages (account_sid, shelf, listed_at, sid, recipient, sender, service_sid, error_code,
  created_at)
WHERE shelf >= 2;

-- The agenda of one account, or one service, without a look at each message.
ALTER TABLE timers ADD COLUMN account_sid TEXT;
ALTER TABLE timers ADD COLUMN service_sid TEXT;
UPDATE timers SET (account_sid, service_sid) = (
  SELECT m.account_sid, m.service_sid FROM messages m WHERE m.sid = timers.sid);

-- How many messages did what in an hour, and how late they were (core/tally.py).
CREATE TABLE tallies (
  account_sid TEXT NOT NULL,
  hour        INTEGER NOT NULL,         -- the instant it begins
  what        TEXT NOT NULL,
  number      INTEGER NOT NULL,
  PRIMARY KEY (account_sid, hour, what)
) STRICT, WITHOUT ROWID;

-- The calls to customers that were made, as far as they are kept.
CREATE TABLE calls (
  id          INTEGER PRIMARY KEY,      -- the order they were settled in
  at          INTEGER NOT NULL,
  account_sid TEXT NOT NULL,
  message_sid TEXT NOT NULL,
  status      TEXT NOT NULL,
  url         TEXT NOT NULL,            -- without user info
  attempt     INTEGER NOT NULL,
  took        INTEGER NOT NULL,         -- microseconds
  code        INTEGER,                  -- the HTTP status, where an answer came
  fault       TEXT,                     -- else why none did
  request     TEXT NOT NULL,            -- the form, as far as it is kept
  answer      TEXT NOT NULL             -- the body, as far as it is kept
) STRICT;
CREATE INDEX calls_of_account ON calls (account_sid);
CREATE INDEX calls_of_message ON calls (message_sid);
