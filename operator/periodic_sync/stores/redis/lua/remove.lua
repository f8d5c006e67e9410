-- Erase users. ARGV: their ids. Returns: those who were registered.

local found = {}
for place = SHARED + 1, #KEYS do
  local id = ARGV[place - SHARED]
  if redis.call('ZREM', SEEN, id) == 1 then found[#found + 1] = id end
  redis.call('DEL', KEYS[place])
  for _, key in ipairs({ DUE, RETRY, ASKED, QUEUE, BROKEN }) do redis.call('ZREM', key, id) end
end
return found
