-- Users whom a request for many does not mean any more. ARGV for each: id, slice.

for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2 - 1
  redis.call('ZREM', QUEUE, ARGV[at])
  index(KEYS[place], ARGV[at], tonumber(ARGV[at + 1]))
end
return 'OK'
