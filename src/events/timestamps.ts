import avro from 'avsc';

/** Avro's `timestamp-millis`, a long, as ISO 8601 text in events: UTC, with three decimals. */
export class TimestampMillis extends avro.types.LogicalType {
  protected override _fromValue(ms: number): string {
    return new Date(ms).toISOString();
  }

  protected override _toValue(time: unknown): number | undefined {
    const ms = typeof time === 'string' ? Date.parse(time) : NaN;
    return Number.isNaN(ms) ? undefined : ms;
  }
}
