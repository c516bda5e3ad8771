/** Longest username, in characters. */
export const USERNAME_LENGTH = 100;

/** The canonical form of a username: two encodings of the same characters are the same name. */
export const normalUsername = (username: string): string => username.normalize('NFKC').trim();

/**
 * Control characters, invisible characters, those that change direction, unassigned ones, and the blank Braille pattern, which Unicode
 * classifies as a symbol.
 */
export const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Whether every character of the username is visible. */
export const isVisible = (username: string): boolean => !UNSEEN.test(username);
