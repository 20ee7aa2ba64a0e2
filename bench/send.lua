-- wrk: the POST that Twilio's Python library makes for a message that goes at once, to another number each time.
-- Arguments: path, Authorization, From, StatusCallback.

dofile("bench/told.lua")

local path, headers, sender, callback
local count = 0

function init(args)
  path, sender, callback = args[1], quoted(args[3]), quoted(args[4])
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
  local body = string.format(
    "To=%%2B1415%07d&From=%s&Body=Your+appointment+is+tomorrow+at+10+o%%27clock.+Reference+%d&StatusCallback=%s",
    2000000 + count % 8000000, sender, count, callback)
  return wrk.format("POST", path, headers, body)
end
