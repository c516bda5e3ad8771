import { withResources } from './with-resources.ts';

/** Opening the resources applies the migrations; `up` is what other tools call it. */
export function migrateUp(direction = 'up'): Promise<number> {
  if (direction !== 'up') return Promise.reject(new Error(`Unknown direction ${direction}: migrations only go up.`));
  return withResources({ as: 'command', migrate: true }, ({ migrated, print }) => {
    for (const name of migrated) print(`applied ${name}`);
    print(migrated.length === 0 ? 'Nothing was missing.' : 'Postgres is up to date.');
    return Promise.resolve(0);
  });
}
