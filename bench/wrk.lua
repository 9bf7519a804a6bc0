-- Sends the prepared requests of a file in turn: wrk … -s wrk.lua URL -- METHOD FILE HEADER
-- Each line of the file is a path, a tab and a body. Prints one line of JSON at the end.
local requests, at = {}, 0

function init(args)
  local headers = {}
  local name, value = args[3]:match("^(%S+): (.*)$")
  if name then headers[name] = value end
  if args[1] ~= "GET" then headers["Content-Type"] = "application/json" end
  for line in io.lines(args[2]) do
    local path, body = line:match("^([^\t]*)\t(.*)$")
    requests[#requests + 1] = wrk.format(args[1], path, headers, body ~= "" and body or nil)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f, "bytes": %d}',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.bytes))
end
