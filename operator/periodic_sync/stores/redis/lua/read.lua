-- Everything of some users. ARGV: the number of fields, the fields, the ids.
-- Returns for each one text: last active and the fields in their order, apart by the unit separator; '' for a user that
-- is not registered. One text each, since a client takes longer to read an answer's parts than a server to make them.

local count = tonumber(ARGV[1])
local users = {}
for place = SHARED + 1, #KEYS do
  local seen = redis.call('ZSCORE', SEEN, ARGV[1 + count + place - SHARED])
  local words = seen and redis.call('HMGET', KEYS[place], unpack(ARGV, 2, 1 + count))
  for at = 1, words and count or 0 do words[at] = words[at] or '' end
  users[#users + 1] = words and seen .. '\31' .. table.concat(words, '\31') or ''
end
return users
