/**
 * Why a provider did not do what it was asked.
 *
 * - `retryable`: it may work another time; counts against the provider.
 * - `deferred`: the provider is well, but refuses what was asked for now, such as a mail to a full mailbox; a try in some minutes
 *   or hours may work, and says nothing about the provider until then.
 * - `permanent`: what was asked is at fault, and will be refused every time; says nothing about the provider.
 */
export class ProviderError extends Error {
  readonly kind: 'retryable' | 'deferred' | 'permanent';
  /** Stable, upper snake case. */
  readonly code: string;

  constructor(kind: ProviderError['kind'], code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ProviderError';
    this.kind = kind;
    this.code = code;
  }
}
