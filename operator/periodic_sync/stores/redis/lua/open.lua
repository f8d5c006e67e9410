-- Whose store this is, and how it is. ARGV: the policy that asks, the newest version that it knows.
-- Returns: the fields below, how many users there are, and the classes as name, number, ….

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
return meta
