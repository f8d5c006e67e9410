-- Put users where they belong. ARGV: from where on it is done up to the end, '' where that does not matter, and whether
-- that is all of it; then for each user: id, slice.

for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2 + 1
  index(KEYS[place], ARGV[at], tonumber(ARGV[at + 1]))
end
if ARGV[1] ~= '' then
  if ARGV[2] == '1' then
    redis.call('HDEL', META, 'index:low', 'index:high')
  else
    redis.call('HSET', META, 'index:high', ARGV[1])
  end
end
return 'OK'
