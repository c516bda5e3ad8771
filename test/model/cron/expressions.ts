import fc from 'fast-check';
import type { ClockMinute, LocalMinute } from './minutes.ts';

export interface Expression {
  readonly cron: string;
  readonly goesByElapsedTime: boolean;
  readonly matches: (shown: LocalMinute) => boolean;
}

/** Times of day near a change of clocks, on all days or on one. */
type Shape = (minutes: readonly ClockMinute[]) => Expression;

interface Field {
  readonly text: string;
  readonly values: readonly number[];
}

const listed = (values: readonly number[]): Field => ({ text: values.join(','), values });
const every = (step: number, size: number): Field => ({
  text: step === 1 ? '*' : `*/${step}`,
  values: range(0, size - 1, step),
});
const stepped = (from: number, to: number, step: number): Field => ({
  text: step === 1 ? `${from}-${to}` : `${from}-${to}/${step}`,
  values: range(from, to, step),
});
const range = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, n) => from + n * step);

const listOf = (value: fc.Arbitrary<number>) => fc.uniqueArray(value, { minLength: 1, maxLength: 4 });
const minutes: fc.Arbitrary<Field> = fc.oneof(
  { weight: 3, arbitrary: listOf(fc.constantFrom(0, 1, 15, 29, 30, 31, 45, 59)).map(listed) },
  { weight: 1, arbitrary: fc.constantFrom(10, 15, 20, 59).map((step) => every(step, 60)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(30), fc.nat(29), fc.integer({ min: 7, max: 30 }))
      .map(([from, more, step]) => stepped(from, from + more, step)),
  },
);
/** Expressions near a change at this hour. */
const hours: fc.Arbitrary<(hour: number) => Field> = fc.oneof(
  {
    weight: 3,
    arbitrary: listOf(fc.integer({ min: -2, max: 3 })).map(
      (near) => (hour: number) => listed(near.map((each) => (hour + each + 24) % 24)),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom(1, 2, 5).map((step) => () => every(step, 24)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 2 })).map(([before, step]) => (hour: number) => {
      const from = Math.max(0, hour - before);
      return stepped(from, Math.min(23, from + 4), step);
    }),
  },
);

type Days = (shown: Date) => { readonly text: string; readonly isOne: (day: Date) => boolean };
const days = fc.constantFrom<Days>(
  () => ({ text: '* * *', isOne: () => true }),
  (shown) => ({
    text: `${shown.getUTCDate()} ${shown.getUTCMonth() + 1} *`,
    isOne: (day) => day.getUTCDate() === shown.getUTCDate() && day.getUTCMonth() === shown.getUTCMonth(),
  }),
  (shown) => ({ text: `* * ${shown.getUTCDay()}`, isOne: (day) => day.getUTCDay() === shown.getUTCDay() }),
);

/** The change is in the middle of the window. Days are those of the minute before it, or of the first one after it. */
export const shapes: fc.Arbitrary<Shape> = fc
  .tuple(minutes, hours, days, fc.boolean())
  .map(([minute, hoursNear, daysOf, isBefore]) => (minutes) => {
    const { shown = 0 } = minutes[minutes.length / 2 - (isBefore ? 1 : 0)] ?? {};
    const near = dateOf(shown);
    const hour = hoursNear(near.getUTCHours());
    const { text, isOne } = daysOf(near);
    return {
      cron: `${minute.text} ${hour.text} ${text}`,
      goesByElapsedTime: (minute.text + hour.text).includes('*'),
      matches(other) {
        const date = dateOf(other);
        return minute.values.includes(date.getUTCMinutes()) && hour.values.includes(date.getUTCHours()) && isOne(date);
      },
    };
  });

const dateOf = (shown: LocalMinute) => new Date(shown * 60_000);
