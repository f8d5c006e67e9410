-- Everything of some users. ARGV: the number of fields, the fields, the ids.
-- Returns for each: last active, false for one that is not registered, and the fields in their order.

local count = tonumber(ARGV[1])
local users = {}
for place = SHARED + 1, #KEYS do
  local id = ARGV[1 + count + place - SHARED]
  users[#users + 1] = redis.call('ZSCORE', SEEN, id)
  users[#users + 1] = redis.call('HMGET', KEYS[place], unpack(ARGV, 2, 1 + count))
end
return users
