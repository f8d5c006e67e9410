-- Erase users. ARGV: their ids. Returns: how many were registered.

local count = 0
for place = SHARED + 1, #KEYS do
  local id = ARGV[place - SHARED]
  count = count + redis.call('ZREM', SEEN, id)
  redis.call('DEL', KEYS[place])
  for _, key in ipairs({ DUE, RETRY, ASKED, QUEUE, BROKEN }) do redis.call('ZREM', key, id) end
end
return count
