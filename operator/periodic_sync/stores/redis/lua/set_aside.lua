-- Users who can't be read: nothing of them is tried until the application writes them again. ARGV: when, their ids.

for place = SHARED + 1, #KEYS do
  local id = ARGV[1 + place - SHARED]
  if redis.call('ZSCORE', SEEN, id) then redis.call('ZADD', BROKEN, ARGV[1], id) end -- else removed meanwhile
  for _, key in ipairs({ DUE, RETRY, ASKED, QUEUE }) do redis.call('ZREM', key, id) end
end
return 'OK'
