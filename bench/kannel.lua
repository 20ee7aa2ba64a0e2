-- wrk: the GET with which Kannel's customers send a message, to another number each time, with a call for each report.
-- Arguments: From, the address that is called, with what tells the message apart still to be added.

local from, callback
local count = 0

local function quoted(text)
  return (text:gsub("[^%w%-_.~]", function(c) return string.format("%%%02X", c:byte()) end))
end

function init(args)
  from, callback = quoted(args[1]), quoted(args[2] .. "?MessageSid=SM")
end

function request()
  count = count + 1
  local path = string.format(
    "/cgi-bin/sendsms?username=bench&password=bench&to=%%2B1415%07d&from=%s"
      .. "&text=Your+appointment+is+tomorrow+at+10+o%%27clock.+Reference+%d"
      .. "&dlr-mask=31&dlr-url=%s%032d%%26MessageStatus%%3D%%25d",
    2000000 + count % 8000000, from, count, callback, count)
  return wrk.format("GET", path)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
