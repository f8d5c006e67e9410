-- Write what became of users. ARGV: the version, the highest claim among these; then for each user one text of words
-- apart by the unit separator: id, slice, the last claim that this was worked out from, the claim of the last outcome,
-- the request served, how many fields are set, the kind of event that it is ('-' for none), these as name and value, and
-- the names of those that go. Those that are written become one entry of EVENTS: its fields are the kinds, with the ids.
-- Returns: the ids of those whose last claim is another by now. One that is not registered any more is passed over.

if redis.call('HGET', META, 'version') ~= ARGV[1] then return redis.error_reply('VERSION') end
local highest = tonumber(redis.call('HGET', META, 'highest')) or 0
if tonumber(ARGV[2]) > highest then redis.call('HSET', META, 'highest', ARGV[2]) end
local queue_claim = tonumber(redis.call('HGET', META, 'queue:claim'))

local outdated, kinds, told = {}, {}, {}
for place = SHARED + 1, #KEYS do
  local user, words = KEYS[place], {}
  for word in string.gmatch(ARGV[2 + place - SHARED], '[^\31]+') do words[#words + 1] = word end
  local id, slice, before = words[1], tonumber(words[2]), words[3]
  local outcome, served, set = tonumber(words[4]), tonumber(words[5]), tonumber(words[6])
  local known = redis.call('HMGET', user, 'wallet', 'claim', 'requested')
  if known[1] and (known[2] or '0') ~= before then
    outdated[#outdated + 1] = id
  elseif known[1] then
    redis.call('HSET', user, unpack(words, 8, 7 + 2 * set))
    if #words > 7 + 2 * set then redis.call('HDEL', user, unpack(words, 8 + 2 * set)) end
    if some_are_asked and served >= (tonumber(known[3]) or 0) then redis.call('ZREM', ASKED, id) end
    if some_are_queued and queue_claim and outcome > queue_claim then redis.call('ZREM', QUEUE, id) end
    index(user, id, slice)
    local kind = words[7]
    if kind ~= '-' then
      if not told[kind] then
        told[kind] = {}
        kinds[#kinds + 1] = kind
      end
      table.insert(told[kind], id)
    end
  end
end
if #kinds > 0 then
  local entry = {}
  for _, kind in ipairs(kinds) do
    entry[#entry + 1] = kind
    entry[#entry + 1] = table.concat(told[kind], ' ')
  end
  redis.call('XADD', EVENTS, 'MAXLEN', '~', 1000, '*', unpack(entry)) -- event_log.KEPT
end
return outdated
