-- Tokens of one user changed. ARGV: when tokens that changed earlier may be forgotten, how many may be kept; then for
-- each: token, when it changed. Returns: 1, or 0 where the user is not registered.

local user = KEYS[SHARED + 1]
if redis.call('EXISTS', user) == 0 then return 0 end
local before, most, held = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
local known = redis.call('HGET', user, 'tokens')
for token, changed in pairs(known and cjson.decode(known) or {}) do
  if changed >= before then held[token] = changed end
end
for at = 3, #ARGV, 2 do
  held[ARGV[at]] = math.max(held[ARGV[at]] or 0, tonumber(ARGV[at + 1]))
end
local tokens = {}
for token in pairs(held) do tokens[#tokens + 1] = token end
table.sort(tokens, function(one, other)
  return held[one] > held[other] or (held[one] == held[other] and one < other)
end)
local text = {}
for at = 1, math.min(#tokens, most) do
  -- By hand: cjson would write instants with an exponent.
  text[at] = cjson.encode(tokens[at]) .. ':' .. string.format('%.0f', held[tokens[at]])
end
redis.call('HSET', user, 'tokens', '{' .. table.concat(text, ',') .. '}')
return 1
