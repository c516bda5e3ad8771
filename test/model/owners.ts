import type { LogOwner } from '../../src/events/genesis.ts';
import { showOwner } from '../../src/log/owner.ts';

const owner = (databaseOid: string): LogOwner => ({ systemIdentifier: '7', databaseOid });

export const [OWNER, EARLIER, ADOPTER] = [owner('1'), owner('2'), owner('3')];

export const isLossToAdopter = (reason: string): boolean => reason.includes(`database ${showOwner(ADOPTER)}`);
