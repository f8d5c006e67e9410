-- Users by their last activity and, of one instant, by their ids. ARGV: how many at most; then, to go on after a place,
-- its last activity and its id, whether anybody stands there or not. One more is returned where there are more.

local function is_after(one, other) -- byte by byte as Redis compares them; Lua's < goes by the server's locale
  for at = 1, math.min(#one, #other) do
    local here, there = string.byte(one, at), string.byte(other, at)
    if here ~= there then return here > there end
  end
  return #one > #other
end

local from = 0
if ARGV[2] then
  from = redis.call('ZCOUNT', SEEN, '-inf', '(' .. ARGV[2])
  local to = redis.call('ZCOUNT', SEEN, '-inf', ARGV[2])
  while from < to do
    local middle = math.floor((from + to) / 2)
    if is_after(redis.call('ZRANGE', SEEN, middle, middle)[1], ARGV[3]) then
      to = middle
    else
      from = middle + 1
    end
  end
end
return redis.call('ZRANGE', SEEN, from, from + tonumber(ARGV[1]), 'WITHSCORES')
