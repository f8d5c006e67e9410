-- Ask for syncs. ARGV for each user: id, slice, when it was asked for. Returns: the ids of those not registered.

some_are_asked = true
local unknown = {}
for place = SHARED + 1, #KEYS do
  local at = (place - SHARED - 1) * 3 + 1
  local id, slice, asked = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  if not redis.call('ZSCORE', SEEN, id) then
    unknown[#unknown + 1] = id
  else
    local known = redis.call('HMGET', KEYS[place], 'requested', 'served')
    if tonumber(asked) > (tonumber(known[1]) or 0) then
      redis.call('HSET', KEYS[place], 'requested', asked)
      if tonumber(asked) > (tonumber(known[2]) or 0) then redis.call('ZADD', ASKED, asked, id) end
      index(KEYS[place], id, slice)
    end
  end
end
if #unknown < #KEYS - SHARED then note_change() end
return unknown
