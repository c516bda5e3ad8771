import { writeFileSync } from 'node:fs';
import { contentOf, fileOf, kit } from './files.ts';

/** `npm run conformance`: writes schemas/conformance/*.json. */
for (const name of Object.keys(kit) as (keyof typeof kit)[]) writeFileSync(fileOf(name), await contentOf(name));
