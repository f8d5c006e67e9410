-- Users who no longer belong into one of the sorted sets: back to where they do. ARGV: the place of that set among the
-- keys; then for each user: id, slice.

for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2
  redis.call('ZREM', KEYS[tonumber(ARGV[1])], ARGV[at])
  index(KEYS[place], ARGV[at], tonumber(ARGV[at + 1]))
end
return 'OK'
