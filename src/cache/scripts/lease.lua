-- KEYS: the incarnation's key, the entry, its epochs. ARGV: incarnation, token, variant, time to live of a lease and of an epoch (ms).
-- Returns the validity that the entry must have, or nil.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local validity = ARGV[3]
local marked = false
for i = 3, #KEYS do
  local epoch = redis.call('GET', KEYS[i])
  if not epoch then
    epoch = '#' .. ARGV[2]
    redis.call('SET', KEYS[i], epoch, 'PX', ARGV[5])
  end
  marked = marked or epoch:sub(1, 1) ~= '#'
  validity = validity .. epoch
end
if marked then return false end
local held = redis.call('GET', KEYS[2])
if held and (held:sub(1, 1) ~= '=' or held:sub(2, #validity + 2) == validity .. '\n') then return false end
redis.call('SET', KEYS[2], '?' .. ARGV[2], 'PX', ARGV[4])
return validity
