-- wrk: the GET with which Kannel's customers send a message, to another number each time, with a call for each report.
-- Arguments: From, the address that is called, with what tells the message apart still to be added.

dofile("bench/told.lua")

local from, callback
local count = 0

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
