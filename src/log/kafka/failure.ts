/** A failure of kafkajs. `type` is Kafka's name of the error, where a broker answered with one. */
export interface Failure {
  readonly name: string;
  readonly type: string | undefined;
  readonly retriable: boolean;
  readonly message: string;
}

/** The first cause, without the errors in which kafkajs wraps it after its retries. */
export function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) return { name: '', type: undefined, retriable: false, message: String(thrown) };
  if (thrown.cause instanceof Error) return failureOf(thrown.cause);
  const { name, message } = thrown;
  return {
    name,
    message,
    type: 'type' in thrown && typeof thrown.type === 'string' ? thrown.type : undefined,
    retriable: 'retriable' in thrown && thrown.retriable === true,
  };
}
