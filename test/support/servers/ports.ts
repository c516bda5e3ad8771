export { freePort } from '../../../src/stack/ports.ts';
