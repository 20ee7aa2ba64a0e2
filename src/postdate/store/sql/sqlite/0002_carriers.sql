-- What carriers told us twice, and long messages of handsets that have not come whole yet.

-- A carrier's id of a message from a handset: the same told twice is kept once.
CREATE TABLE inbound_refs (
  connection  TEXT NOT NULL,
  carrier_ref TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (connection, carrier_ref)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbound_parts (
  connection TEXT NOT NULL,
  sender     TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  ref        INTEGER NOT NULL,
  total      INTEGER NOT NULL,
  place      INTEGER NOT NULL,          -- from 1
  message    TEXT NOT NULL,             -- the message as if this part were all of it
  created_at INTEGER NOT NULL,
  PRIMARY KEY (connection, sender, recipient, ref, total, place)
) STRICT, WITHOUT ROWID;
