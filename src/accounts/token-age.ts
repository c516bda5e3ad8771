/** Largest age of an access token, in seconds. Changes of access are stored for this long. */
export const MAX_ACCESS_TOKEN_AGE = 86_400;

/** Added to an age, because a token is issued before its change is stored and the clocks of processes differ. */
export const SPARE_SECONDS = 300;
