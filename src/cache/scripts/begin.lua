#!lua flags=allow-oom
-- KEYS: the incarnation's key. ARGV: incarnation.
return redis.call('SET', KEYS[1], ARGV[1])
