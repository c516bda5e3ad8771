import which from 'which';

/** Whether a PATH has a command; starts nothing. */
export const onPath = (command: string, path = ''): boolean => which.sync(command, { path, nothrow: true }) !== null;
