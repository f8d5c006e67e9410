-- Users who can be read again: back to where they belong. ARGV for each: id, slice.

for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2 - 1
  redis.call('ZREM', BROKEN, ARGV[at])
  index(KEYS[place], ARGV[at], tonumber(ARGV[at + 1]))
end
return 'OK'
