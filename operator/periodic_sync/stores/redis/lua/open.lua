-- Whose store this is, and how it is. ARGV: the policy that asks, the newest version that it knows.
-- Returns: the fields below, how many users there are, the classes as name, number, …, how many users can't be read, and
-- the first few of those.

local version = tonumber(redis.call('HGET', META, 'version'))
if version and version <= tonumber(ARGV[2]) then
  redis.call('HSETNX', META, 'owner', ARGV[1])
end
local meta = redis.call(
  'HMGET', META, 'version', 'id', 'owner', 'highest',
  'floor', 'index:low', 'index:high', 'queue:token', 'queue:cursor'
)
meta[#meta + 1] = redis.call('ZCARD', SEEN)
meta[#meta + 1] = redis.call('HGETALL', CLASSES)
meta[#meta + 1] = redis.call('ZCARD', BROKEN)
meta[#meta + 1] = redis.call('ZRANGE', BROKEN, 0, 4)
return meta
