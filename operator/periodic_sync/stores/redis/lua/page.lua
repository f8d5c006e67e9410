-- Users by their last activity, and by their ids where that is the same. ARGV: how many; then the last ones that were
-- given, latest first, each with its score: it goes on after the first of them that still has it. Where none has, all of
-- that instant are given again. Activity only grows, so whoever was not given yet is still to come.

local from = 0
for at = 2, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', SEEN, ARGV[at])) == tonumber(ARGV[at + 1]) then
    from = redis.call('ZRANK', SEEN, ARGV[at]) + 1
    break
  elseif at == 2 then
    from = redis.call('ZCOUNT', SEEN, '-inf', '(' .. ARGV[3])
  end
end
return redis.call('ZRANGE', SEEN, from, from + tonumber(ARGV[1]) - 1, 'WITHSCORES')
