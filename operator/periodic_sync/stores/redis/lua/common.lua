-- What all scripts share. The same keys come first in each, in the order of `keys.Keys.shared`; the users' own follow.
-- Instants are milliseconds since the epoch. The layout is explained in docs/reference/redis-store.md.

local META, SEEN, DUE, RETRY, ASKED, QUEUE, CLASSES, BROKEN, EVENTS = unpack(KEYS, 1, 9)
local SHARED = 9

local REGULAR, FAILED, REQUESTED, QUEUED = 0, 1, 2, 3 -- the kinds of `scores.Kind`
local KINDS, SLICES, UNIT, UNITS = 4, 16, 100, 2 ^ 36 -- as in `scores`
local MOST_CLASSES = 2047

-- Whoever was last active before it is not in DUE. Before an operator has set it nobody is.
local floor = tonumber(redis.call('HGET', META, 'floor')) or math.huge
local some_are_asked = redis.call('EXISTS', ASKED) == 1
local some_are_queued = redis.call('EXISTS', QUEUE) == 1

-- Somebody may be due by this: operators look when it changes.
local function note_change() redis.call('HINCRBY', META, 'changes', 1) end

local function kind_of(id, retry)
  if some_are_asked and redis.call('ZSCORE', ASKED, id) then return REQUESTED end
  if some_are_queued and redis.call('ZSCORE', QUEUE, id) then return QUEUED end
  return retry and FAILED or REGULAR
end

-- Put a user where the user's fields and the other indexes say, or take an inactive one out.
local function index(user, id, slice, seen)
  seen = seen or tonumber(redis.call('ZSCORE', SEEN, id))
  if not seen or seen < floor then
    redis.call('ZREM', DUE, id)
    redis.call('ZREM', RETRY, id)
    return
  end
  local fields = redis.call('HMGET', user, 'class', 'synced', 'retry')
  local class, synced, retry = tonumber(fields[1]) or 0, tonumber(fields[2]) or 0, fields[3]
  local kind = kind_of(id, retry)
  if kind == FAILED then
    redis.call('ZADD', RETRY, retry, id)
  else
    redis.call('ZREM', RETRY, id)
  end
  local unit = math.min(math.floor(synced / UNIT), UNITS - 1)
  redis.call('ZADD', DUE, ((class * KINDS + kind) * SLICES + slice) * UNITS + unit, id)
end
