-- Every statement of the SQLite store. A batch is one JSON array and one statement: the interpreter's lock is given up
-- once for a whole batch, not once for a row. In a batch, ?1 is the array; `e.value` is one item.

-- name: add_messages
-- Add messages, column by column in the order of core.message.Message, and where they stand in the lists.
INSERT INTO messages
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9,
       value->>10, value->>11, value->>12, value->>13, value->>14, value->>15, value->>16, value->>17, value->>18,
       value->>19, value->>20, value->>21, value->>22, value->>23, value->>24, value->>25, '',
       CASE value->>5
         WHEN 'accepted' THEN 0 WHEN 'scheduled' THEN 0 WHEN 'queued' THEN 0
         WHEN 'sending' THEN value->>18 IS NOT NULL
         WHEN 'failed' THEN 3 WHEN 'undelivered' THEN 4 WHEN 'canceled' THEN 5
         WHEN 'received' THEN 6 WHEN 'receiving' THEN 6 ELSE 2 END
FROM jsonb_each(?1);

-- name: add_timers
-- Add the timer of each message of a batch.
INSERT INTO timers (due_at, sid, bucket, account_sid, service_sid)
SELECT value->>13, value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?1);

-- name: scheduled_counts
-- Read how many scheduled messages the accounts of a batch have.
SELECT json_group_object(account_sid, scheduled) FROM scheduled_counts
WHERE account_sid IN (SELECT value FROM json_each(?1));

-- name: count_scheduled
-- Change the counts of scheduled messages: an object of account and difference.
INSERT INTO scheduled_counts (account_sid, scheduled) SELECT key, value FROM json_each(?1) WHERE true
ON CONFLICT (account_sid) DO UPDATE SET scheduled = scheduled + excluded.scheduled;

-- name: known_keys
-- Find idempotency keys that came before: items of (account, key).
SELECT json_group_array(json_array(i.account_sid, i.key, i.sid, i.fingerprint))
FROM jsonb_each(?1) e JOIN idempotency i ON i.account_sid = e.value->>0 AND i.key = e.value->>1;

-- name: add_keys
-- Keep idempotency keys: items of (account, key, fingerprint, sid, at).
INSERT INTO idempotency (account_sid, key, fingerprint, sid, created_at)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?1);

-- name: opted_out
-- Find which recipients are opted out: items of (sid, account, scope, recipient).
SELECT json_group_array(e.value->>0) FROM jsonb_each(?1) e
JOIN opt_outs o ON o.account_sid = e.value->>1 AND o.scope = e.value->>2 AND o.recipient = e.value->>3;

-- name: opted_out_of
-- Find which of these messages their recipients have opted out of, from the service or from the sender's number.
SELECT json_group_array(m.sid) FROM json_each(?1) e JOIN messages m ON m.sid = e.value
WHERE EXISTS (SELECT 1 FROM opt_outs o WHERE o.account_sid = m.account_sid AND o.recipient = m.recipient
  AND o.scope IN (m.service_sid, m.sender));

-- name: cancel
-- The one compare-and-set that cancels: it and the claim of `dispatch` cannot both win.
UPDATE messages SET status = 'canceled', shelf = 5, updated_at = ?3, trail = trail || ?4
WHERE sid IN (SELECT value FROM json_each(?1)) AND account_sid = ?2 AND status = 'scheduled';

-- name: read_messages
-- Read messages of one account by SID.
SELECT json_group_array(json_array(
  m.sid, m.bucket, m.account_sid, m.service_sid, m.direction, m.status, m.sender, m.sender_sid, m.recipient, m.body,
  json(m.media_urls), m.num_segments, m.send_at, m.due_at, m.expires_at, m.callback_url, m.attempts, m.claim,
  m.doubt_at, m.carrier_ref, m.error_code, m.created_at, m.updated_at, m.sent_at, m.listed_at, json(m.options)))
FROM json_each(?1) e JOIN messages m ON m.sid = e.value WHERE m.account_sid = ?2;

-- name: drop_timers
-- Remove timers: items of (due_at, sid).
DELETE FROM timers WHERE (due_at, sid) IN (SELECT value->>0, value->>1 FROM jsonb_each(?1));

-- name: callback_rows
-- Make the outbox rows of changes: items of (sid, status, rank), at ?2. The message's own URL comes first, then its
-- application's, then its service's, as they are configured now. `queued` is told with a service only. What came in has
-- its own URL or none.
SELECT json_group_array(json_array(?2, c.sid || ':' || c.rank || ':' || c.news, c.account_sid, c.sid, c.news, c.url, 0,
  ?2, c.sender, c.recipient, c.service_sid, c.error_code))
FROM (
  SELECT m.*, e.value->>1 AS news, e.value->>2 AS rank, COALESCE(
    m.callback_url,
    (SELECT r.data->>'message_status_callback' FROM resources r WHERE r.sid = m.options->>'application_sid'),
    (SELECT r.data->>'status_callback' FROM resources r WHERE r.sid = m.service_sid AND m.direction <> 'inbound')) AS url
  FROM jsonb_each(?1) e JOIN messages m ON m.sid = e.value->>0
  WHERE e.value->>1 <> 'sending' AND (e.value->>1 <> 'queued' OR m.service_sid IS NOT NULL)
) c WHERE c.url IS NOT NULL AND c.url <> '';

-- name: add_callbacks
-- Write rows to the outbox, in the order of store.contract.CallbackRow.
INSERT OR IGNORE INTO callbacks
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9,
       value->>10, value->>11
FROM jsonb_each(?1);

-- name: reschedule
-- Move a scheduled message to a new time; ?6 is the entry of its trail, which grows up to ?7 characters so.
UPDATE messages SET send_at = ?3, due_at = ?3, expires_at = ?4, updated_at = ?5,
  trail = CASE WHEN length(trail) < ?7 THEN trail || ?6 ELSE trail END
WHERE sid = ?1 AND account_sid = ?2 AND status = 'scheduled';

-- name: due
-- Read timers in order, from a cursor and up to a horizon: never from the beginning.
SELECT json_group_array(json_array(due_at, sid)) FROM (
  SELECT due_at, sid FROM timers WHERE (due_at, sid) > (?1, ?2) AND due_at < ?3 ORDER BY due_at, sid LIMIT ?4);

-- name: read_due
-- Read messages with the facts that decide about them.
SELECT json_group_array(json_array(json_array(
  m.sid, m.bucket, m.account_sid, m.service_sid, m.direction, m.status, m.sender, m.sender_sid, m.recipient, m.body,
  json(m.media_urls), m.num_segments, m.send_at, m.due_at, m.expires_at, m.callback_url, m.attempts, m.claim,
  m.doubt_at, m.carrier_ref, m.error_code, m.created_at, m.updated_at, m.sent_at, m.listed_at, json(m.options)),
  json((SELECT json_group_array(o.scope) FROM opt_outs o WHERE o.account_sid = m.account_sid AND o.recipient = m.recipient)),
  (SELECT s.sender_sid FROM sticky s WHERE s.service_sid = m.service_sid AND s.recipient = m.recipient),
  CASE m.media_urls WHEN '[]' THEN 0 ELSE (SELECT count(*) FROM media x WHERE x.message_sid = m.sid) END))
FROM json_each(?1) e JOIN messages m ON m.sid = e.value
WHERE m.status IN ('accepted', 'scheduled', 'queued', 'sending');

-- name: assign
-- Write choices of senders: items of (sid, status, sender, sender_sid, segments), at ?2; ?3 is the entry of the trail.
UPDATE messages SET status = d.value->>1, sender = d.value->>2, sender_sid = d.value->>3, num_segments = d.value->>4,
  updated_at = ?2, trail = trail || ?3
FROM jsonb_each(?1) d WHERE messages.sid = d.value->>0 AND messages.status IN ('accepted', 'scheduled', 'queued');

-- name: hold
-- Write later hours: items of (sid, due_at, entry of the trail), at ?2; a trail of ?3 characters grows no more.
UPDATE messages SET due_at = d.value->>1, updated_at = ?2,
  trail = CASE WHEN length(trail) < ?3 THEN trail || (d.value->>2) ELSE trail END
FROM jsonb_each(?1) d WHERE messages.sid = d.value->>0 AND messages.status IN ('accepted', 'scheduled', 'queued');

-- name: refuse
-- Write refusals: items of (sid, error_code, entry of the trail), at ?2.
UPDATE messages SET status = 'failed', shelf = 3, error_code = d.value->>1, updated_at = ?2,
  trail = trail || (d.value->>2)
FROM jsonb_each(?1) d WHERE messages.sid = d.value->>0 AND messages.status IN ('accepted', 'scheduled', 'queued');

-- name: keep_sticky
-- Keep the sender each recipient had: items of (service, recipient, sender, bucket).
INSERT INTO sticky (service_sid, recipient, sender_sid, bucket)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?1) WHERE true
ON CONFLICT (service_sid, recipient) DO UPDATE SET sender_sid = excluded.sender_sid;

-- name: add_timer_items
-- Add timers: items of (due_at, sid, bucket, account, service).
INSERT OR IGNORE INTO timers (due_at, sid, bucket, account_sid, service_sid)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?1);

-- name: restore_timers
-- Add the timers of messages again.
INSERT OR IGNORE INTO timers (due_at, sid, bucket, account_sid, service_sid)
SELECT due_at, sid, bucket, account_sid, service_sid FROM messages WHERE sid IN (SELECT value FROM jsonb_each(?1));

-- name: claim
-- Claim hand-offs for a run of this node; ?4 is the entry of the trail, which grows up to ?5 characters so.
UPDATE messages SET status = 'sending', claim = ?2, attempts = attempts + 1, updated_at = ?3,
  trail = CASE WHEN length(trail) < ?5 THEN trail || ?4 ELSE trail END
WHERE sid IN (SELECT value FROM json_each(?1));

-- name: read_batch
-- Read the messages of a batch.
SELECT json_group_array(json_array(
  m.sid, m.bucket, m.account_sid, m.service_sid, m.direction, m.status, m.sender, m.sender_sid, m.recipient, m.body,
  json(m.media_urls), m.num_segments, m.send_at, m.due_at, m.expires_at, m.callback_url, m.attempts, m.claim,
  m.doubt_at, m.carrier_ref, m.error_code, m.created_at, m.updated_at, m.sent_at, m.listed_at, json(m.options)))
FROM json_each(?1) e JOIN messages m ON m.sid = e.value;

-- name: keep_lanes
-- Keep when senders are free again: items of (sender, free_at).
INSERT INTO lanes (sender_sid, free_at) SELECT value->>0, value->>1 FROM jsonb_each(?1) WHERE true
ON CONFLICT (sender_sid) DO UPDATE SET free_at = max(free_at, excluded.free_at);

-- name: lanes
-- Read when each sender is free.
SELECT json_group_object(sender_sid, free_at) FROM lanes;

-- name: standings
-- Read where the messages of a batch stand.
SELECT json_group_array(json_array(m.sid, m.status, m.claim, m.doubt_at, m.due_at, m.account_sid, m.shelf))
FROM json_each(?1) e JOIN messages m ON m.sid = e.value;

-- name: record
-- Write where messages stand now: items of (sid, status, claim, doubt_at, carrier_ref, entries of the trail), at ?2; a
-- trail of ?3 characters grows no more.
UPDATE messages SET status = r.value->>1, claim = r.value->>2, doubt_at = r.value->>3,
  carrier_ref = COALESCE(r.value->>4, carrier_ref), updated_at = ?2,
  trail = CASE WHEN length(trail) < ?3 THEN trail || (r.value->>5) ELSE trail END
FROM jsonb_each(?1) r WHERE messages.sid = r.value->>0;

-- name: record_moved
-- The same for messages that move in the lists: items have (shelf, error_code) as well.
UPDATE messages SET status = r.value->>1, claim = r.value->>2, doubt_at = r.value->>3,
  carrier_ref = COALESCE(r.value->>4, carrier_ref), updated_at = ?2,
  trail = CASE WHEN length(trail) < ?3 THEN trail || (r.value->>5) ELSE trail END,
  shelf = r.value->>6, error_code = COALESCE(r.value->>7, error_code)
FROM jsonb_each(?1) r WHERE messages.sid = r.value->>0;

-- name: record_sent
-- The same for messages that are sent by now and were not before.
UPDATE messages SET status = r.value->>1, claim = r.value->>2, doubt_at = r.value->>3,
  carrier_ref = COALESCE(r.value->>4, carrier_ref), updated_at = ?2,
  trail = CASE WHEN length(trail) < ?3 THEN trail || (r.value->>5) ELSE trail END,
  shelf = r.value->>6, error_code = COALESCE(r.value->>7, error_code),
  sent_at = COALESCE(sent_at, ?2), listed_at = CASE WHEN sent_at IS NULL THEN ?2 ELSE listed_at END
FROM jsonb_each(?1) r WHERE messages.sid = r.value->>0;

-- name: keep_refs
-- Keep which message a carrier's id means.
INSERT OR REPLACE INTO carrier_refs (connection, carrier_ref, sid, created_at)
SELECT value->>1, value->>2, value->>0, ?2 FROM jsonb_each(?1);

-- name: find_refs
-- Find the messages that carriers' ids mean: items of (connection, carrier_ref).
SELECT json_group_array(json_array(r.connection, r.carrier_ref, r.sid))
FROM jsonb_each(?1) e JOIN carrier_refs r ON r.connection = e.value->>0 AND r.carrier_ref = e.value->>1;

-- name: park
-- Keep receipts that came before their answer: items of (connection, carrier_ref, event, error_code).
INSERT OR IGNORE INTO parked_receipts (connection, carrier_ref, event, error_code, at)
SELECT value->>0, value->>1, value->>2, value->>3, ?2 FROM jsonb_each(?1);

-- name: take_parked
-- Find the parked receipts that a batch of answers was waited for: items of (sid, connection, carrier_ref).
SELECT json_group_array(json_array(sid, event, error_code)) FROM (
  SELECT e.value->>0 AS sid, p.event, p.error_code FROM jsonb_each(?1) e
  JOIN parked_receipts p ON p.connection = e.value->>1 AND p.carrier_ref = e.value->>2 ORDER BY p.place);

-- name: drop_parked
-- Remove the parked receipts of a batch of answers.
DELETE FROM parked_receipts WHERE (connection, carrier_ref) IN (
  SELECT value->>1, value->>2 FROM jsonb_each(?1));

-- name: opt_out
-- Keep STOPs: items of (account, scope, recipient, bucket), at ?2.
INSERT OR IGNORE INTO opt_outs (account_sid, scope, recipient, bucket, created_at)
SELECT value->>0, value->>1, value->>2, value->>3, ?2 FROM jsonb_each(?1);

-- name: opt_in
-- Forget STOPs: items of (account, scope, recipient, bucket).
DELETE FROM opt_outs WHERE (account_sid, scope, recipient) IN (
  SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?1));

-- name: known_inbound
-- Find messages of handsets that came before: items of (connection, carrier_ref).
SELECT json_group_array(json_array(r.connection, r.carrier_ref))
FROM jsonb_each(?1) e JOIN inbound_refs r ON r.connection = e.value->>0 AND r.carrier_ref = e.value->>1;

-- name: lately_inbound
-- Find what came since ?2: items of (connection, carrier_ref).
SELECT json_group_array(json_array(r.connection, r.carrier_ref)) FROM jsonb_each(?1) e
JOIN inbound_refs r ON r.connection = e.value->>0 AND r.carrier_ref = e.value->>1 WHERE r.created_at >= ?2;

-- name: keep_inbound
-- Keep which messages of handsets came: items of (connection, carrier_ref), at ?2.
INSERT INTO inbound_refs (connection, carrier_ref, created_at) SELECT value->>0, value->>1, ?2 FROM jsonb_each(?1)
WHERE true ON CONFLICT (connection, carrier_ref) DO UPDATE SET created_at = excluded.created_at;

-- name: keep_parts
-- Keep parts of long messages: items of (connection, sender, recipient, ref, total, place, message), at ?2.
INSERT OR IGNORE INTO inbound_parts (connection, sender, recipient, ref, total, place, message, created_at)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, ?2 FROM jsonb_each(?1);

-- name: parts
-- Read the parts that are there of long messages, in order: items of (connection, sender, recipient, ref, total).
SELECT json_group_array(json_array(connection, sender, recipient, ref, total, json(message))) FROM (
  SELECT p.* FROM inbound_parts p WHERE (connection, sender, recipient, ref, total) IN (
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?1))
  ORDER BY connection, sender, recipient, ref, total, place);

-- name: stale_parts
-- Find long messages whose first part came before ?1.
SELECT json_group_array(json_array(connection, sender, recipient, ref, total)) FROM (
  SELECT DISTINCT connection, sender, recipient, ref, total FROM inbound_parts WHERE created_at < ?1);

-- name: drop_parts
-- Remove the parts of long messages: items of (connection, sender, recipient, ref, total).
DELETE FROM inbound_parts WHERE (connection, sender, recipient, ref, total) IN (
  SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?1));

-- name: due_callbacks
-- Read calls that are due from ?4 to ?1, oldest first, but none to URLs that begin as one of ?2, a # behind them.
SELECT json_group_array(json_array(due_at, id, account_sid, message_sid, status, url, attempts, first_at, sender,
  recipient, service_sid, error_code))
FROM (SELECT * FROM callbacks WHERE due_at < ?1 AND due_at >= ?4
        AND NOT EXISTS (SELECT 1 FROM json_each(?2) b WHERE substr(url || '#', 1, length(b.value)) = b.value)
      ORDER BY due_at, id LIMIT ?3);

-- name: drop_callbacks
-- Remove calls: items of (due_at, id).
DELETE FROM callbacks WHERE (due_at, id) IN (SELECT value->>0, value->>1 FROM jsonb_each(?1));

-- name: retry_callbacks
-- Move calls to a later time: items of (due_at, id, retry_at, first_at).
UPDATE callbacks SET due_at = r.value->>2, attempts = attempts + 1, first_at = COALESCE(r.value->>3, first_at)
FROM jsonb_each(?1) r WHERE callbacks.due_at = r.value->>0 AND callbacks.id = r.value->>1;

-- name: redact
-- Empty the body of a message, its template's values with it; ?4 is the entry of its trail, up to ?5 characters so.
UPDATE messages SET body = '', options = json_remove(options, '$.template'), updated_at = ?3,
  trail = CASE WHEN length(trail) < ?5 THEN trail || ?4 ELSE trail END
WHERE sid = ?1 AND account_sid = ?2;

-- name: keep_feedback
-- Keep the recipient's feedback on a message.
UPDATE messages SET options = json_set(options, '$.feedback', ?4), updated_at = ?3 WHERE sid = ?1 AND account_sid = ?2;

-- name: delete_message
-- Delete a message that is final.
DELETE FROM messages WHERE sid = ?1 AND account_sid = ?2
  AND status IN ('sent', 'delivered', 'undelivered', 'read', 'failed', 'canceled', 'received');

-- name: add_media
-- Keep media rows in the order of store.contract.MediaRow.
INSERT INTO media SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, key
FROM jsonb_each(?1);

-- name: add_blob
-- Keep the bytes of a medium once.
INSERT OR IGNORE INTO blobs (digest, body) VALUES (?1, ?2);

-- name: media
-- Read the media of a message.
SELECT json_group_array(json_array(sid, message_sid, account_sid, content_type, digest, size, created_at))
FROM (SELECT * FROM media WHERE message_sid = ?1 ORDER BY place);

-- name: medium
-- Read one medium with its bytes.
SELECT json_array(m.sid, m.message_sid, m.account_sid, m.content_type, m.digest, m.size, m.created_at), b.body
FROM media m JOIN blobs b ON b.digest = m.digest WHERE m.sid = ?1;

-- name: drop_media_of
-- Remove the media of a message.
DELETE FROM media WHERE message_sid = ?1;

-- name: drop_medium
-- Remove one medium.
DELETE FROM media WHERE sid = ?1;

-- name: drop_unused_blobs
-- Remove bytes that no medium has any more.
DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM media m WHERE m.digest = blobs.digest);

-- name: put_resource
-- Add or replace a resource.
INSERT INTO resources (sid, unique_key, data) VALUES (?1, ?2, ?3)
ON CONFLICT (sid) DO UPDATE SET unique_key = excluded.unique_key, data = excluded.data;

-- name: drop_resource
-- Remove a resource.
DELETE FROM resources WHERE sid = ?1;

-- name: drop_sticky
-- Forget choices of this sender, or of this service.
DELETE FROM sticky WHERE sender_sid = ?1 OR service_sid = ?1;

-- name: resources
-- Read every resource.
SELECT json_group_array(json(data)) FROM resources;

-- name: prune_parked
-- Forget receipts that no answer came for.
DELETE FROM parked_receipts WHERE at < ?1;

-- name: prune_inbound
-- Forget old ids of messages from handsets.
DELETE FROM inbound_refs WHERE created_at < ?1;

-- name: prune_keys
-- Forget old idempotency keys.
DELETE FROM idempotency WHERE created_at < ?1;

-- name: add_audit
-- Keep entries of the audit log, in the order of store.contract.AuditRow.
INSERT INTO audit (account_sid, at, sid, actor_sid, actor_name, deed, subject, detail, address, outcome)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9
FROM jsonb_each(?1);

-- name: list_audit
-- Read a page of an audit log, newest first; of one actor ?4, and of deeds that begin with ?5, where they are given.
SELECT json_group_array(json_array(account_sid, at, sid, actor_sid, actor_name, deed, subject, detail, address, outcome))
FROM (
  SELECT * FROM audit WHERE account_sid = ?1 AND (at, sid) < (?2, ?3)
    AND (?4 IS NULL OR actor_sid = ?4) AND (?5 IS NULL OR substr(deed, 1, length(?5)) = ?5)
  ORDER BY account_sid DESC, at DESC, sid DESC LIMIT ?6);

-- name: walk_open
-- Walk parts of the list of messages that are not done, newest first, over ?5 of each at most where ?6 is 1 (0: it is
-- not bounded). Answers for each part the last one it could look at, where there are more, and those that match.
WITH looked AS MATERIALIZED (
  SELECT e.value AS shelf, (
    SELECT json_array(listed_at, sid) FROM messages INDEXED BY messages_open
    WHERE account_sid = ?1 AND shelf < 2 AND shelf = e.value AND (listed_at, sid) < (?3, ?4) AND listed_at >= ?8
    ORDER BY listed_at DESC, sid DESC LIMIT ?6 OFFSET ?5 - 1) AS last
  FROM json_each(?2) e),
part AS MATERIALIZED (
  SELECT shelf, last, COALESCE(last->>0, ?8) AS end_at, COALESCE(last->>1, '') AS end_sid FROM looked)
SELECT json_group_array(json((
  SELECT json_array(json(part.last), json_group_array(json_array(listed_at, sid))) FROM (
    SELECT listed_at, sid FROM messages o INDEXED BY messages_open
    WHERE account_sid = ?1 AND shelf < 2 AND shelf = part.shelf
      AND (listed_at, sid) < (?3, ?4) AND (listed_at, sid) >= (part.end_at, part.end_sid)
      AND (?10 IS NULL OR recipient = ?10) AND (?12 IS NULL OR service_sid = ?12)
      AND (?13 IS NULL OR instr(recipient, ?13)) AND (?14 IS NULL OR due_at >= ?14) AND (?15 IS NULL OR due_at < ?15)
      AND (?9 IS NULL OR (SELECT (?11 IS NULL OR m.sender = ?11) AND (?16 IS NULL OR m.status = ?16) FROM messages m WHERE m.sid = o.sid))
    ORDER BY listed_at DESC, sid DESC LIMIT ?7)))) FROM part;

-- name: walk_done
-- Walk parts of the list of messages that are done as `walk_open` does.
WITH looked AS MATERIALIZED (
  SELECT e.value AS shelf, (
    SELECT json_array(listed_at, sid) FROM messages INDEXED BY messages_done
    WHERE account_sid = ?1 AND shelf >= 2 AND shelf = e.value AND (listed_at, sid) < (?3, ?4) AND listed_at >= ?8
    ORDER BY listed_at DESC, sid DESC LIMIT ?6 OFFSET ?5 - 1) AS last
  FROM json_each(?2) e),
part AS MATERIALIZED (
  SELECT shelf, last, COALESCE(last->>0, ?8) AS end_at, COALESCE(last->>1, '') AS end_sid FROM looked)
SELECT json_group_array(json((
  SELECT json_array(json(part.last), json_group_array(json_array(listed_at, sid))) FROM (
    SELECT listed_at, sid FROM messages o INDEXED BY messages_done
    WHERE account_sid = ?1 AND shelf >= 2 AND shelf = part.shelf
      AND (listed_at, sid) < (?3, ?4) AND (listed_at, sid) >= (part.end_at, part.end_sid)
      AND (?10 IS NULL OR recipient = ?10) AND (?11 IS NULL OR sender = ?11) AND (?12 IS NULL OR service_sid = ?12)
      AND (?13 IS NULL OR instr(recipient, ?13) OR instr(sender, ?13)) AND (?17 IS NULL OR error_code = ?17)
      AND (?18 IS NULL OR created_at >= ?18) AND (?19 IS NULL OR created_at < ?19)
      AND (?9 IS NULL OR (SELECT
        (?14 IS NULL OR m.due_at >= ?14) AND (?15 IS NULL OR m.due_at < ?15) AND (?16 IS NULL OR m.status = ?16)
        FROM messages m WHERE m.sid = o.sid))
    ORDER BY listed_at DESC, sid DESC LIMIT ?7)))) FROM part;

-- name: walk_open_back
-- Walk parts of the list of messages that are not done towards newer ones, oldest first.
WITH looked AS MATERIALIZED (
  SELECT e.value AS shelf, (
    SELECT json_array(listed_at, sid) FROM messages INDEXED BY messages_open
    WHERE account_sid = ?1 AND shelf < 2 AND shelf = e.value AND (listed_at, sid) > (?3, ?4) AND listed_at < ?8
    ORDER BY listed_at, sid LIMIT ?6 OFFSET ?5 - 1) AS last
  FROM json_each(?2) e),
part AS MATERIALIZED (
  SELECT shelf, last, COALESCE(last->>0, ?8 - 1) AS end_at, COALESCE(last->>1, '~') AS end_sid FROM looked)
SELECT json_group_array(json((
  SELECT json_array(json(part.last), json_group_array(json_array(listed_at, sid))) FROM (
    SELECT listed_at, sid FROM messages o INDEXED BY messages_open
    WHERE account_sid = ?1 AND shelf < 2 AND shelf = part.shelf
      AND (listed_at, sid) > (?3, ?4) AND (listed_at, sid) <= (part.end_at, part.end_sid)
      AND (?10 IS NULL OR recipient = ?10) AND (?12 IS NULL OR service_sid = ?12)
      AND (?13 IS NULL OR instr(recipient, ?13)) AND (?14 IS NULL OR due_at >= ?14) AND (?15 IS NULL OR due_at < ?15)
      AND (?9 IS NULL OR (SELECT (?11 IS NULL OR m.sender = ?11) AND (?16 IS NULL OR m.status = ?16) FROM messages m WHERE m.sid = o.sid))
    ORDER BY listed_at, sid LIMIT ?7)))) FROM part;

-- name: walk_done_back
-- Walk parts of the list of messages that are done towards newer ones, oldest first.
WITH looked AS MATERIALIZED (
  SELECT e.value AS shelf, (
    SELECT json_array(listed_at, sid) FROM messages INDEXED BY messages_done
    WHERE account_sid = ?1 AND shelf >= 2 AND shelf = e.value AND (listed_at, sid) > (?3, ?4) AND listed_at < ?8
    ORDER BY listed_at, sid LIMIT ?6 OFFSET ?5 - 1) AS last
  FROM json_each(?2) e),
part AS MATERIALIZED (
  SELECT shelf, last, COALESCE(last->>0, ?8 - 1) AS end_at, COALESCE(last->>1, '~') AS end_sid FROM looked)
SELECT json_group_array(json((
  SELECT json_array(json(part.last), json_group_array(json_array(listed_at, sid))) FROM (
    SELECT listed_at, sid FROM messages o INDEXED BY messages_done
    WHERE account_sid = ?1 AND shelf >= 2 AND shelf = part.shelf
      AND (listed_at, sid) > (?3, ?4) AND (listed_at, sid) <= (part.end_at, part.end_sid)
      AND (?10 IS NULL OR recipient = ?10) AND (?11 IS NULL OR sender = ?11) AND (?12 IS NULL OR service_sid = ?12)
      AND (?13 IS NULL OR instr(recipient, ?13) OR instr(sender, ?13)) AND (?17 IS NULL OR error_code = ?17)
      AND (?18 IS NULL OR created_at >= ?18) AND (?19 IS NULL OR created_at < ?19)
      AND (?9 IS NULL OR (SELECT
        (?14 IS NULL OR m.due_at >= ?14) AND (?15 IS NULL OR m.due_at < ?15) AND (?16 IS NULL OR m.status = ?16)
        FROM messages m WHERE m.sid = o.sid))
    ORDER BY listed_at, sid LIMIT ?7)))) FROM part;

-- name: walk_timers
-- Walk what is due from ?2 and ?3 to before ?4, of one account and perhaps one service, as `walk_open` does.
WITH last (due_at, sid) AS (
  SELECT due_at, sid FROM timers WHERE (due_at, sid) > (?2, ?3) AND due_at < ?4 ORDER BY due_at, sid LIMIT 1 OFFSET ?5 - 1)
SELECT json_array(json((SELECT json_array(due_at, sid) FROM last)), json_group_array(json_array(due_at, sid))) FROM (
  SELECT due_at, sid FROM timers WHERE (due_at, sid) > (?2, ?3) AND due_at < ?4
    AND (due_at, sid) <= (COALESCE((SELECT due_at FROM last), ?4 - 1), COALESCE((SELECT sid FROM last), '~'))
    AND account_sid = ?1 AND (?6 IS NULL OR service_sid = ?6)
  ORDER BY due_at, sid LIMIT ?7);

-- name: sids_from
-- Find messages by the beginning of their SID: from ?2 to before ?3, ?4 at most.
SELECT json_group_array(json_array(listed_at, sid)) FROM (
  SELECT listed_at, sid FROM messages WHERE sid >= ?2 AND sid < ?3 AND account_sid = ?1 ORDER BY sid DESC LIMIT ?4);

-- name: trail
-- Read where a message has been.
SELECT trail FROM messages WHERE sid = ?1 AND account_sid = ?2;

-- name: count
-- Count what messages did: items of (account, hour, what, number).
INSERT INTO tallies (account_sid, hour, what, number)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?1) WHERE true
ON CONFLICT (account_sid, hour, what) DO UPDATE SET number = number + excluded.number;

-- name: tallies
-- Read the counts of an account from an hour on.
SELECT json_group_array(json_array(hour, what, number)) FROM tallies WHERE account_sid = ?1 AND hour >= ?2;

-- name: count_due
-- Count an account's timers between instants: items of (from, before); looks at ?2 of each at most, and says how many.
SELECT json_group_array(json((
  SELECT json_array(count(*) FILTER (WHERE account_sid = ?3), count(*)) FROM (
    SELECT account_sid FROM timers WHERE due_at >= e.value->>0 AND due_at < e.value->>1 LIMIT ?2))))
FROM json_each(?1) e;

-- name: count_in_doubt
-- Count an account's messages in doubt, ?2 at most.
SELECT count(*) FROM (
  SELECT 1 FROM messages INDEXED BY messages_open WHERE account_sid = ?1 AND shelf < 2 AND shelf = 1 LIMIT ?2);

-- name: add_calls
-- Keep calls that were made: items in the order of store.views.Called, without the id.
INSERT INTO calls (at, account_sid, message_sid, status, url, attempt, took, code, fault, request, answer)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9,
       value->>10
FROM jsonb_each(?1);

-- name: calls_of_account
-- Read an account's calls before ?2, newest first; with ?3 those that failed. Looks at ?5 of them at most.
SELECT json_group_array(json_array(id, at, account_sid, message_sid, status, url, attempt, took, code, fault, request,
  answer))
FROM (
  SELECT * FROM (SELECT * FROM calls INDEXED BY calls_of_account WHERE account_sid = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?5)
  WHERE ?3 = 0 OR code IS NULL OR code NOT BETWEEN 200 AND 299 LIMIT ?4);

-- name: calls_of_message
-- Read the calls about a message before ?3, newest first; with ?5 those that failed.
SELECT json_group_array(json_array(id, at, account_sid, message_sid, status, url, attempt, took, code, fault, request,
  answer))
FROM (SELECT * FROM calls INDEXED BY calls_of_message WHERE message_sid = ?1 AND account_sid = ?2 AND id < ?3
      AND (?5 = 0 OR code IS NULL OR code NOT BETWEEN 200 AND 299)
      ORDER BY id DESC LIMIT ?4);

-- name: trim_calls
-- Forget the oldest calls where more than ?1 are kept.
DELETE FROM calls WHERE id <= (SELECT max(id) FROM calls) - ?1;

-- name: prune_calls
-- Forget calls from before ?1, the oldest ?2 at most.
DELETE FROM calls WHERE at < ?1 AND id IN (SELECT id FROM calls ORDER BY id LIMIT ?2);

-- name: prune_tallies
-- Forget old counts.
DELETE FROM tallies WHERE hour < ?1;

-- name: extend
-- Let a message be worth sending as long again as it was from when it was due.
UPDATE messages SET expires_at = max(expires_at, ?2 + expires_at - due_at) WHERE sid = ?1;
