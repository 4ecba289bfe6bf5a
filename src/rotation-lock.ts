// One rotation of the keyring at a time, whichever node or process begins it: two to different keys would undo one another's
// work. It goes with its process or its connection, however that ends.
import path from 'node:path';
import type { Config } from './config/config.ts';
import { PortunusError } from './lib/errors.ts';
import { advisoryLock } from './store/postgres/channels.ts';
import { openLink } from './store/postgres/link.ts';
import { takeFileLock } from './store/sqlite/file-lock.ts';

export interface RotationLock extends AsyncDisposable {
  /** @throws STORE_UNAVAILABLE when it was lost, as with its connection */
  check(): void;
}

/** Of the store of a configuration. Waits for nobody. @throws KEYRING_ROTATING; STORE_UNAVAILABLE */
export async function lockRotation({ prefix, postgres }: Pick<Config, 'prefix' | 'postgres'>): Promise<RotationLock> {
  if (postgres === undefined) {
    const lock = takeFileLock(path.join(prefix, 'rotation.lock')) ?? refuse();
    return { check: () => undefined, [Symbol.asyncDispose]: async () => lock[Symbol.dispose]() };
  }
  // A session of its own: locks of a transaction would end with each batch.
  const link = await openLink(postgres, { ended: () => undefined });
  const { rows } = await link.query(
    'SELECT pg_try_advisory_lock($1, $2) AS taken',
    advisoryLock(postgres.schema, 'rotate'),
  );
  if (rows[0]?.['taken'] !== true) {
    link.destroy();
    refuse();
  }
  return {
    check() {
      if (link.alive) return;
      throw new PortunusError('STORE_UNAVAILABLE', 'PostgreSQL ended the connection that keeps other rotations out.', {
        hint: 'What was sealed anew stays so. Run it again: it goes on.',
      });
    },
    async [Symbol.asyncDispose]() {
      // The server may notice a closed connection a moment later.
      await link.query('SELECT pg_advisory_unlock_all()', []).catch(() => undefined);
      link.destroy();
    },
  };
}

function refuse(): never {
  throw new PortunusError('KEYRING_ROTATING', 'A rotation of the keyring is under way.', {
    hint: 'Wait until it is done. Nothing was changed.',
  });
}
