-- For wrk: single activity posts of random users, with several tokens, in a closed loop or at about a given rate.
-- Arguments: the path of the policy, a file with a token a line, the number of users, milliseconds between two posts of
-- one connection (0: none).
local path, users, pause, tokens = "", 1, 0, {}

function init(args)
  path, users, pause = args[1], tonumber(args[3]), tonumber(args[4])
  for line in io.lines(args[2]) do tokens[#tokens + 1] = "Bearer " .. line end
  math.randomseed(7)
end

function delay() return pause end

function request()
  local user = string.format("user-%08d", math.random(0, users - 1))
  wrk.headers["Authorization"] = tokens[math.random(#tokens)]
  return wrk.format("POST", path .. "/users/" .. user .. "/activity")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.3f, "p50": %.2f, "p99": %.2f, "most": %.2f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
