/**
 * Why a provider did not do what it was asked.
 *
 * - `again`: it may work another time; counts against the provider.
 * - `never`: what was asked is at fault, and will be refused every time; says nothing about the provider.
 */
export class ProviderError extends Error {
  readonly kind: 'again' | 'never';
  /** Stable, upper snake case. */
  readonly code: string;

  constructor(kind: 'again' | 'never', code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ProviderError';
    this.kind = kind;
    this.code = code;
  }
}
