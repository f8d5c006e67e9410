-- Counts, and members in the order of their scores. ARGV: how many ids follow that are of no interest, these; then for
-- each question: the place of the key, the lowest and the highest score, and how many other members with their scores
-- are wanted; 0: only how many there are, -1: all, of interest or not, 'last' and a number: so many of the last, of
-- interest or not. Or 'both' and the place of another key: how many are in the two.

local passed_over, count = {}, tonumber(ARGV[1])
for at = 2, 1 + count do passed_over[ARGV[at]] = true end

local function first(key, low, high, most)
  local found, from, size = {}, 0, most
  repeat
    local some = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', from, size)
    for at = 1, #some, 2 do
      if #found < 2 * most and not passed_over[some[at]] then
        found[#found + 1] = some[at]
        found[#found + 1] = some[at + 1]
      end
    end
    from, size = from + size, 2 * size
  until #found == 2 * most or #some < size
  return found
end

local answers = {}
for at = 2 + count, #ARGV, 4 do
  local key, low, high, most = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local last = string.match(most, '^last (%d+)$')
  if most == 'both' then
    answers[#answers + 1] = redis.call('ZINTERCARD', 2, key, KEYS[tonumber(low)])
  elseif most == '0' then
    answers[#answers + 1] = redis.call('ZCOUNT', key, low, high)
  elseif last then
    answers[#answers + 1] = redis.call('ZREVRANGEBYSCORE', key, high, low, 'WITHSCORES', 'LIMIT', 0, last)
  elseif most == '-1' or count == 0 then
    answers[#answers + 1] = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', 0, most)
  else
    answers[#answers + 1] = first(key, low, high, tonumber(most))
  end
end
return answers
