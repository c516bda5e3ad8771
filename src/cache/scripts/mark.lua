#!lua flags=allow-oom
-- KEYS: the incarnation's key, the keys to mark. ARGV: incarnation, token, time to live of a mark (ms). Returns 1 if it was marked.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local part = ARGV[2] .. '@' .. string.format('%.0f', now)
for i = 2, #KEYS do
  local parts = {}
  local held = redis.call('GET', KEYS[i])
  if held and held:sub(1, 1) == '!' then
    for token, since in held:sub(2):gmatch('(%S+)@(%d+)') do
      if now - since < tonumber(ARGV[3]) then parts[#parts + 1] = token .. '@' .. since end
    end
  end
  parts[#parts + 1] = part
  redis.call('SET', KEYS[i], '!' .. table.concat(parts, ' '), 'PX', ARGV[3])
end
return 1
