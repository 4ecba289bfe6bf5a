// What became of a commit whose answer was lost, when PostgreSQL was killed and has given the transaction's number out again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPortunusError, PortunusError } from '../../src/lib/errors.ts';
import type { Link } from '../../src/store/postgres/link.ts';
import { transact } from '../../src/store/postgres/transact.ts';

/** @param there what the server answers to the witness afterwards */
async function outcome(there: boolean): Promise<string> {
  const writer: Link = {
    alive: true,
    destroy: () => undefined,
    async query(sql) {
      if (sql === 'COMMIT') throw new PortunusError('STORE_UNAVAILABLE', 'lost');
      return { rows: sql.includes('txid_current') ? [{ id: '7' }] : [], command: '' };
    },
  };
  const other: Link = {
    alive: true,
    destroy: () => undefined,
    async query(sql, values) {
      if (sql.includes('txid_status')) {
        assert.deepEqual(values, ['7']);
        return { rows: [{ status: 'committed' }], command: '' };
      }
      assert.deepEqual([sql, values], ['SELECT is it there', [42]]);
      return { rows: there ? [{ found: 1 }] : [], command: '' };
    },
  };
  const asking = { open: () => Promise.resolve(other), timeoutMs: 1000, signal: new AbortController().signal };
  try {
    return await transact(
      writer,
      'write',
      async (tx) => {
        await tx.query('SELECT work');
        tx.witness('SELECT is it there', 42);
        return 'acknowledged';
      },
      1000,
      asking,
    );
  } catch (error) {
    assert.ok(isPortunusError(error));
    return error.code;
  }
}

test('it is committed when its number is and what it wrote is there', async () => {
  assert.equal(await outcome(true), 'acknowledged');
});

test('it is not when the number is and what it wrote is not: another transaction has got the number since', async () => {
  assert.equal(await outcome(false), 'STORE_UNAVAILABLE');
});
