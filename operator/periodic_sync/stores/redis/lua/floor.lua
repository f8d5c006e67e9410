-- Move the floor, and note whose place it changes: of those last active in a range of instants. It is worked off by
-- `index`, whoever begins it. ARGV: the floor that this was decided on, '' for none; the new one.
-- Returns: the range, from and to before which, or nothing where the floor is another by now.

if (redis.call('HGET', META, 'floor') or '') ~= ARGV[1] then return {} end
local now, before = tonumber(ARGV[2]), tonumber(ARGV[1]) or math.huge
local low, high = math.min(now, before), math.max(now, before)
local left = redis.call('HMGET', META, 'index:low', 'index:high')
if left[1] then
  low, high = math.min(low, tonumber(left[1])), math.max(high, tonumber(left[2]))
end
redis.call('HSET', META, 'floor', ARGV[2], 'index:low', low, 'index:high', high)
return redis.call('HMGET', META, 'index:low', 'index:high')
