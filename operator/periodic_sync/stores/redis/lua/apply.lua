-- Write what became of users. ARGV: the version, the highest claim among these; then for each user: id, slice, the last
-- claim that this was worked out from, the claim of the last outcome, the request served; then how many words say what
-- is set, and these: name, value, …; how many fields go, and their names.
-- Returns: the ids of those whose last claim is another by now. One that is not registered any more is passed over.

if redis.call('HGET', META, 'version') ~= ARGV[1] then return redis.error_reply('VERSION') end
local highest = tonumber(redis.call('HGET', META, 'highest')) or 0
if tonumber(ARGV[2]) > highest then redis.call('HSET', META, 'highest', ARGV[2]) end
local queue_claim = tonumber(redis.call('HGET', META, 'queue:claim'))

local outdated, at = {}, 3
for place = SHARED + 1, #KEYS do
  local user, id, slice, before = KEYS[place], ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local outcome, served = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local set = tonumber(ARGV[at + 5])
  local unset = tonumber(ARGV[at + 6 + set])
  local known = redis.call('HMGET', user, 'wallet', 'claim', 'requested')
  if known[1] and (known[2] or '0') ~= before then
    outdated[#outdated + 1] = id
  elseif known[1] then
    redis.call('HSET', user, unpack(ARGV, at + 6, at + 5 + set))
    if unset > 0 then redis.call('HDEL', user, unpack(ARGV, at + 7 + set, at + 6 + set + unset)) end
    if some_are_asked and served >= (tonumber(known[3]) or 0) then redis.call('ZREM', ASKED, id) end
    if some_are_queued and queue_claim and outcome > queue_claim then redis.call('ZREM', QUEUE, id) end
    index(user, id, slice)
  end
  at = at + 7 + set + unset
end
return outdated
