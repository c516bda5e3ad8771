/** Characters of a username. */
export const USERNAME_LENGTH = 100;

/** The one spelling of a username: two that look alike because of how they are encoded are the same. */
export const normalUsername = (username: string): string => username.normalize('NFKC').trim();

/**
 * Control characters, those that change direction or cannot be seen, those without a meaning yet, and the blank of Braille, which
 * Unicode takes for a symbol.
 */
export const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Whether every character of the username shows what it is. */
export const isVisible = (username: string): boolean => !UNSEEN.test(username);
