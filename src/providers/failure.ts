/**
 * Why a provider did not do what it was asked.
 *
 * - `again`: it may work another time; counts against the provider.
 * - `later`: the provider is well, but refuses what was asked for now, such as a mail to a full mailbox; a try in some minutes
 *   or hours may work, and says nothing about the provider until then.
 * - `never`: what was asked is at fault, and will be refused every time; says nothing about the provider.
 */
export class ProviderError extends Error {
  readonly kind: 'again' | 'later' | 'never';
  /** Stable, upper snake case. */
  readonly code: string;

  constructor(kind: ProviderError['kind'], code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ProviderError';
    this.kind = kind;
    this.code = code;
  }
}
