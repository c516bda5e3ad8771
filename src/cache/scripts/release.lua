#!lua flags=allow-oom
-- KEYS: the marked keys. ARGV: token, time to live of a mark (ms).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held and held:sub(1, 1) == '!' then
    local parts = {}
    for token, since in held:sub(2):gmatch('(%S+)@(%d+)') do
      if token ~= ARGV[1] and now - since < tonumber(ARGV[2]) then parts[#parts + 1] = token .. '@' .. since end
    end
    if #parts == 0 then
      redis.call('DEL', KEYS[i])
    else
      redis.call('SET', KEYS[i], '!' .. table.concat(parts, ' '), 'KEEPTTL')
    end
  end
end
