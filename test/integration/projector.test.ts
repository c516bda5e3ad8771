import { describe } from '@jest/globals';
import { projectorSuite } from '../contract/projector.ts';
import { embeddedSource } from '../support/core.ts';

describe('the projector on the embedded log', () => projectorSuite(embeddedSource));
