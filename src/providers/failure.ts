/**
 * A provider failed to do its work.
 *
 * - `retryable`: the provider itself failed. Another attempt may work. The failure counts against the provider.
 * - `deferred`: the provider works, but refuses this request for now, such as a mail to a full mailbox. An attempt after minutes or
 *   hours may work. The failure does not count against the provider.
 * - `permanent`: the request is at fault and will be refused every time. The failure does not count against the provider.
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
