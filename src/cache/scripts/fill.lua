-- KEYS: the incarnation's key, the entry. ARGV: incarnation, token, entry, its time to live (ms). Returns 1 if it was stored.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= '?' .. ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
