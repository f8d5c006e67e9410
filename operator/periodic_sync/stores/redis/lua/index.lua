-- Put users where they belong. ARGV: the floor, and the end of those still to be indexed, that this was worked out from,
-- '' where it does not matter how far it comes; from where on all is done then, '' for all of it; then for each user: id,
-- slice. Returns: whether that is noted. It is not where others have moved one of them: more may be to be done then.

for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2 + 2
  index(KEYS[place], ARGV[at], tonumber(ARGV[at + 1]))
end
if ARGV[1] == '' then return 0 end
local now = redis.call('HMGET', META, 'floor', 'index:high')
if now[1] ~= ARGV[1] or not now[2] or tonumber(now[2]) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', META, 'index:low', 'index:high')
else
  redis.call('HSET', META, 'index:high', ARGV[3])
end
return 1
