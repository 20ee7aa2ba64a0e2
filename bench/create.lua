-- wrk: the POST that Twilio's Python library makes for a scheduled message, to another number each time.
-- Arguments: path, Authorization, MessagingServiceSid, seconds since the epoch of the first SendAt.

local path, headers, service, first
local count = 0

function init(args)
  path, service, first = args[1], args[3], tonumber(args[4])
  headers = {
    ["Authorization"] = args[2],
    ["Content-Type"] = "application/x-www-form-urlencoded",
    ["Accept"] = "application/json",
    ["Accept-Charset"] = "utf-8",
    ["Accept-Encoding"] = "gzip, deflate",
    ["User-Agent"] = "twilio-python/9.13.0 (Linux x86_64) Python/3.11.7",
    ["X-Twilio-Client"] = "python-9.13.0",
  }
end

function request()
  count = count + 1
  local send_at = os.date("!%Y-%m-%dT%H%%3A%M%%3A%SZ", first + count * 7 % 86400)
  local body = string.format(
    "To=%%2B1415%07d&MessagingServiceSid=%s&Body=Your+appointment+is+tomorrow+at+10+o%%27clock.+Reference+%d"
      .. "&ScheduleType=fixed&SendAt=%s",
    2000000 + count % 8000000, service, count, send_at)
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
