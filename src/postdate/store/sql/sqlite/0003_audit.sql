-- Who changed what through the console, and what came of it. Never changed, never pruned.
CREATE TABLE audit (
  account_sid TEXT NOT NULL,
  at          INTEGER NOT NULL,
  sid         TEXT NOT NULL,
  actor_sid   TEXT NOT NULL,            -- a user, or whose credentials the API was used with
  actor_name  TEXT NOT NULL,            -- as it was then
  deed        TEXT NOT NULL,            -- screen.action
  subject     TEXT NOT NULL,            -- the SID it was done to; empty where there is none
  detail      TEXT NOT NULL,
  address     TEXT NOT NULL,
  outcome     INTEGER NOT NULL,         -- 0: done; else the error code it was rejected with
  PRIMARY KEY (account_sid, at, sid)
) STRICT, WITHOUT ROWID;
