-- Counts, and members in the order of their scores. ARGV for each question: the place of the key, the lowest and the
-- highest score, and how many members with their scores are wanted; 0: only how many there are, -1: all. Or 'both' and
-- the place of another key: how many are in the two.

local answers = {}
for at = 1, #ARGV, 4 do
  local key, low, high, most = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if most == 'both' then
    answers[#answers + 1] = redis.call('ZINTERCARD', 2, key, KEYS[tonumber(low)])
  elseif most == '0' then
    answers[#answers + 1] = redis.call('ZCOUNT', key, low, high)
  else
    answers[#answers + 1] = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', 0, most)
  end
end
return answers
