import { chain, claim, kitCase, loses, streamIn, uuid, wins } from '../kit.ts';

const [one = claim(), two = claim(), three = claim()] = chain(3);
const other = streamIn(2);

export const rule = [
  kitCase('versions of a stream that follow each other are accepted', [wins(one), wins(two), wins(three)]),
  kitCase('of several claims to a version the first is accepted', [
    wins(one),
    wins(two),
    loses(claim({ version: 2, prev: uuid(1), id: uuid(50) }), 'lost', 'the same version, decided on the same head'),
    wins(three),
  ]),
  kitCase('a record that stands twice is accepted once', [
    wins(one),
    loses(one, 'lost'),
    wins(two),
    loses(one, 'lost'),
    loses(two, 'lost'),
  ]),
  kitCase('a claim must name the head that it follows', [
    wins(one),
    loses(claim({ version: 2, prev: uuid(50), id: uuid(51) }), 'lost', 'another predecessor'),
    loses(claim({ version: 2, prev: '', id: uuid(52) }), 'lost', 'no predecessor'),
    loses(claim({ version: 3, prev: uuid(1), id: uuid(53) }), 'lost', 'a version too far'),
    loses(claim({ version: 1, prev: '', id: uuid(54) }), 'lost', 'a stream that has begun begins again'),
    loses(claim({ version: 2147483647, prev: uuid(1), id: uuid(55) }), 'lost', 'the last version that there can be'),
    wins(two),
  ]),
  kitCase('a stream begins at version 1 with an empty predecessor', [
    loses(two, 'lost', 'version 2 of nothing'),
    loses(claim({ prev: uuid(9) }), 'lost', 'version 1 after something'),
    wins(one),
    wins(two, 'the same bytes that lost before: a loser changes nothing'),
  ]),
  kitCase('streams of one partition do not touch each other', [
    wins(one),
    wins(claim({ stream: other, id: uuid(20) })),
    loses(claim({ stream: other, version: 2, prev: uuid(1), id: uuid(21) }), 'lost', "another stream's head"),
    wins(two),
    wins(claim({ stream: other, version: 2, prev: uuid(20), id: uuid(22) })),
  ]),
];
