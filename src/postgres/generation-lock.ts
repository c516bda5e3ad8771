/** Readers hold `read` shared on the generation they read, projectors hold `feed` on every generation they feed. */
export type GenerationUse = 'read' | 'feed';

/** SQL of the lock's first key; `namespace` is a parameter. The second key is the generation's id. */
export const lockClass = (use: GenerationUse, namespace: string): string =>
  `hashtext('openmusic generation ${use}: ' || ${namespace}::text)`;

/** SQL that is true when a session reads the generation. */
export const isRead = (generationId: string, namespace: string): string => `EXISTS (
    SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objid = ${generationId}::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid = (${lockClass('read', namespace)}::bigint & 4294967295)::oid)`;
