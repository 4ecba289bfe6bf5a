// Writes to a store until it is killed or refused, and prints each acknowledged revision once it is acknowledged.
// Arguments: the store's file, the keyring's file.
import { writeSync } from 'node:fs';
import { isPortunusError } from '../../../src/lib/errors.ts';
import { loadKeyring } from '../../../src/store/keyring.ts';
import { createSealer } from '../../../src/store/sealing.ts';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite-store.ts';
import { fakeCertificate, fakeKeyPair, fakeSni } from '../../contracts/entities.ts';

const [, , path = '', keyring = ''] = process.argv;
const sealer = createSealer(await loadKeyring({ source: 'file', path: keyring }));
const store = await openSqliteStore({ path, sealer });
const chain = 'x'.repeat(3000);

try {
  for (let index = await store.snis.count(); ; index += 1) {
    const { revision } = await store.transact('test', async (tx) => {
      const id = `c${index}`;
      await tx.certificates.insert(fakeCertificate(id, { primary: fakeKeyPair(id, { chain }), tags: ['t'] }));
      await tx.snis.insert(fakeSni(`s${index}`, `${index}.test`, id));
    });
    // Synchronous, so that no line is lost with the process.
    writeSync(1, `${revision}\n`);
  }
} catch (error) {
  const name = await store.snis.findByName('0.test');
  writeSync(
    1,
    `refused ${isPortunusError(error) ? error.code : String(error)}, reads ${name === undefined ? 'fail' : 'work'}\n`,
  );
  await store[Symbol.asyncDispose]();
}
