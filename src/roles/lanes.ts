import type { Config } from '../config.ts';
import type { GroupOptions } from '../consumers/group.ts';
import type { Breakers } from '../jobs/breakers.ts';
import type { JobType } from '../jobs/job-type.ts';
import { jobTypes } from '../jobs/job-types.ts';
import { laneOf, type QueueScope } from '../jobs/queue.ts';

/** Names of breakers, one for each provider. */
export const mailBreaker = (provider: string) => `mail:${provider}`;
export const filesBreaker = ({ FILES_PROVIDER }: Config) => `files:${FILES_PROVIDER}`;

/** The lanes that a group's jobs wait in, and the state of the breakers of what each lane needs. */
export function lanesOf(scope: QueueScope, config: Config, breakers: Breakers): GroupOptions['lanes'] {
  const lanes = jobTypes
    .filter(({ name }) => scope.holds({ jobType: name, repeat: null }))
    .flatMap((type) => lanesOfType(type, config));
  return () =>
    lanes.map(({ name, needs }) => ({
      name,
      state: worst(needs.map((need) => breakers.stateOf(need))),
      failedDomain: needs.map((need) => breakers.failedDomainOf(need)).find((domain) => domain !== undefined),
    }));
}

function lanesOfType({ name, usesFiles }: JobType, config: Config): { name: string; needs: string[] }[] {
  const files = usesFiles ? [filesBreaker(config)] : [];
  const byProvider = config.mail.enabled.map((provider) => ({
    name: laneOf(name, provider),
    needs: [...files, mailBreaker(provider)],
  }));
  return [{ name: laneOf(name, null), needs: files }, ...byProvider];
}

/** Repeating jobs wait in the lanes of their types. Requesting their occurrences calls no provider, so no breaker holds them. */
export const scheduledLanes = (config: Config): GroupOptions['lanes'] => {
  const lanes = jobTypes.flatMap((type) =>
    lanesOfType(type, config).map(({ name }) => ({ name, state: 'closed' as const })),
  );
  return () => lanes;
};

const worst = (states: readonly ReturnType<Breakers['stateOf']>[]) =>
  states.find((state) => state === 'open') ?? states.find((state) => state === 'trial') ?? 'closed';
