-- Go on with a request for all users, or for the active: who is not served joins QUEUE. ARGV: the request's token, its
-- claim, the cursor that this was worked out from, '' to begin; the cursor after it; then for each user: id, slice.
-- To begin, there are none, and QUEUE goes as it was. Returns: the cursor that holds now.

local state = redis.call('HMGET', META, 'queue:token', 'queue:cursor')
local token, claim, before, after = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
if before == '' then
  if state[1] == token then return state[2] end
  redis.call('UNLINK', QUEUE)
elseif state[1] ~= token or state[2] ~= before then
  return state[2]
end
redis.call('HSET', META, 'queue:token', token, 'queue:claim', claim, 'queue:cursor', after)
for place = SHARED + 1, #KEYS do
  local at = (place - SHARED) * 2 + 3
  local user, id, slice = KEYS[place], ARGV[at], tonumber(ARGV[at + 1])
  local unserved = (tonumber(redis.call('HGET', user, 'outcome')) or 0) <= claim
  if unserved and redis.call('ZSCORE', SEEN, id) then -- else removed meanwhile, and nobody would ever serve them
    redis.call('ZADD', QUEUE, 0, id)
    some_are_queued = true
  end
  index(user, id, slice)
end
return after
