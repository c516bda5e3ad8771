import type { Applied, Projection, Rows } from './engine/projection.ts';

function apply({ stream, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'CollaboratorAdded':
      rows.put({ id: keyOf(stream, event.accountId), playlist_id: stream, account_id: event.accountId });
      break;
    case 'CollaboratorRemoved':
      rows.remove(keyOf(stream, event.accountId));
      break;
    default:
  }
}

const keyOf = (playlist: string, account: string) => `${playlist}/${account}`;

/** Who may read and change which playlist beside its owner. Those of a deleted playlist stay: nobody finds them without it. */
export const collaborations: Projection = {
  table: { name: 'collaborations', columns: { id: 'text', playlist_id: 'text', account_id: 'text' } },
  ddl: `CREATE TABLE collaborations (
    id text COLLATE "C" PRIMARY KEY,
    playlist_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL
  );
  CREATE INDEX ON collaborations (account_id);
  CREATE INDEX ON collaborations (playlist_id, account_id)`,
  apply,
};
