import { verify } from '@node-rs/argon2';
import { createPasswords } from '../../src/accounts/passwords.ts';
import { closedLoop, type LoadResult, measure, type Window } from './meter.ts';

export interface VerifyLoad extends Window {
  readonly kind: 'verify';
  readonly workers: number;
}

const PASSWORD = 'secret';

/** argon2 alone, with our parameters. */
export async function loadVerify({ workers, ...window }: VerifyLoad): Promise<LoadResult> {
  const hashed = await createPasswords().hash(PASSWORD);
  return measure(
    window,
    closedLoop(workers, () => verify(hashed, PASSWORD)),
  );
}
