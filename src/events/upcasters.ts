/** Turns a payload of one version into the next version's. Pure; never throws on what the old schema allowed. */
export type Upcaster = (payload: object) => object;

/** By subject, and by the version of the payload before the step. */
export type Upcasters = Readonly<Record<string, Readonly<Record<number, Upcaster>>>>;

/** A new schema version adds a line here. */
export const upcasters: Upcasters = {};
