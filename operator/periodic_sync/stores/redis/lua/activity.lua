-- Users were active. ARGV for each: id, slice, when. Returns: the ids of those who are not registered.

local unknown, returned = {}, false
for place = SHARED + 1, #KEYS do
  local at = (place - SHARED - 1) * 3 + 1
  local id, active = ARGV[at], tonumber(ARGV[at + 2])
  local seen = tonumber(redis.call('ZSCORE', SEEN, id))
  if not seen then
    unknown[#unknown + 1] = id
  elseif active > seen then
    redis.call('ZADD', SEEN, active, id)
    if active >= floor and not redis.call('ZSCORE', DUE, id) then
      index(KEYS[place], id, tonumber(ARGV[at + 1]), active)
      returned = true
    end
  end
end
if returned then note_change() end
return unknown
