-- Register users, or update what applications write of them. ARGV: the version of the layout, an id for the store
-- should it be new; then for each user: id, slice, last active, class, and how many fields follow: name, value, ….
-- Fields that applications may leave out, and have left out, go.

local version = redis.call('HGET', META, 'version')
if not version then
  redis.call('HSET', META, 'version', ARGV[1], 'id', ARGV[2])
elseif version ~= ARGV[1] then
  return redis.error_reply('VERSION ' .. version)
end
-- Full memory refuses a script at its first write, if that is one that adds something: HDEL first would pass the limit.
redis.call('HSET', META, 'version', ARGV[1])

local numbers = {}
local function class_number(name)
  if name == '' then return 0 end
  if not numbers[name] then
    local number = tonumber(redis.call('HGET', CLASSES, name)) or redis.call('HLEN', CLASSES) + 1
    if number > MOST_CLASSES then return nil end
    redis.call('HSET', CLASSES, name, number)
    numbers[name] = number
  end
  return numbers[name]
end

local at, place, changed = 3, SHARED + 1, false
while ARGV[at] do
  local user, id, slice, active = KEYS[place], ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local class, count = class_number(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if not class then return redis.error_reply('CLASSES ' .. MOST_CLASSES) end
  if redis.call('HDEL', user, 'interval', 'zone', 'class') > 0 or redis.call('EXISTS', BROKEN) == 1 then
    redis.call('ZREM', BROKEN, id)
  end
  redis.call('HSET', user, unpack(ARGV, at + 5, at + 4 + count))
  if class > 0 then redis.call('HSET', user, 'class', class) end
  local is_later = redis.call('ZADD', SEEN, 'GT', 'CH', active, id) == 1
  changed = changed or (is_later and (floor == math.huge or tonumber(active) >= floor))
  index(user, id, slice)
  at, place = at + 5 + count, place + 1
end
if changed then note_change() end
return 'OK'
