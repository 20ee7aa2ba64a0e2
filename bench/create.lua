-- wrk: the POST that Twilio's Python library makes for a scheduled message, to another number each time.
-- Arguments: path, Authorization, MessagingServiceSid, seconds since the epoch of the first SendAt.

dofile("bench/told.lua")

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
