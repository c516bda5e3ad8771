/** Of an access token, in seconds: changes of what it is good for are kept for so long. */
export const MAX_ACCESS_TOKEN_AGE = 86_400;

/** Added to an age: a token is made before a change of it is, and clocks of processes differ. */
export const SPARE_SECONDS = 300;
