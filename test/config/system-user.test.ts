import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findUser } from '../../src/config/system-user.ts';

const files = {
  passwd:
    '# users\nroot:x:0:0:root:/root:/bin/sh\nportunus:x:990:980:Portunus:/var/lib/portunus:/bin/false\ntoor:x:0:0::/:\n',
  group: 'root:x:0:\nportunus:x:980:\nssl-cert:x:110:postgres,portunus\nwww-data:x:33:\nportunus2:x:77:portunus2\n',
};

for (const [text, wanted] of [
  ['portunus', { uid: 990, gid: 980, groups: [980, 110] }],
  ['portunus:www-data', { uid: 990, gid: 33, groups: [33, 110] }],
  ['portunus:7', { uid: 990, gid: 7, groups: [7, 110] }],
  ['1000:1001', { uid: 1000, gid: 1001, groups: [1001] }],
] as const) {
  test(`${text} is a user`, () => assert.deepEqual(findUser(text, files), wanted));
}

for (const text of [
  'root',
  'toor',
  '0:0',
  '0:1000',
  '1000',
  'nobody-here',
  'portunus:no-group',
  ':',
  'a:b:c',
  '99999999999:1',
  '-1:1',
]) {
  test(`${text} is none`, () => assert.equal(findUser(text, files), undefined));
}
