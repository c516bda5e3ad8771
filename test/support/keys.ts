/** Keys of test servers, which protect no secrets. */
export const KEYS = {
  IDEMPOTENCY_HASH_KEY: 'k'.repeat(32),
  ACCESS_TOKEN_KEY: 'a'.repeat(32),
  REFRESH_TOKEN_KEY: 'r'.repeat(32),
  LINK_KEY: 'l'.repeat(32),
};
