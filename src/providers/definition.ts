import type { z } from 'zod';

/** The parsed settings of a shape. Zod's own type of an empty shape allows no other property. */
export type SettingsOf<Shape extends z.ZodRawShape> = [keyof Shape] extends [never]
  ? unknown
  : z.output<z.ZodObject<Shape>>;

/**
 * What a provider's file exports as `provider`, apart from `open`. `npm run providers` finds the file; the configuration, its
 * page, `.env.example` and the registry are made of this.
 */
export interface ProviderDefinition<Name extends string, Shape extends z.ZodRawShape> {
  /** Selects the provider in the configuration, in requests and in answers. */
  readonly name: Name;
  /** Says on the configuration page what the provider does. */
  readonly about: string;
  /** Its environment variables, each with a default and a description. They are parsed even where the provider is not enabled. */
  readonly settings: Shape;
  /** Gives one line, `VARIABLE: what must be done`, when settings that are valid alone do not go together. */
  problem?(settings: SettingsOf<Shape>, isEnabled: boolean): string | undefined;
}
