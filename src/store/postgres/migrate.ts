// Makes and migrates the tables, however many nodes start at once, and says what of them this program may use.
import { isPortunusError, PortunusError } from '../../lib/errors.ts';
import { advisoryLock } from './channels.ts';
import type { PgClient, PgRow, PgStatements } from './client.ts';
import { migrations, schemaVersion } from './schema.ts';

/** 12: columns of identity, txid_status, and everything else that is used here. */
const serverVersionMin = 120_000;

/**
 * Brings the tables to this program's version, unless a newer program has been here.
 * @throws STORE_UNAVAILABLE saying what is missing; STORE_NEWER when the tables can no longer be read by this program
 */
export async function migrate(client: PgClient, schema: string): Promise<void> {
  await refuseServer(client);
  if ((await presentVersion(client)) < schemaVersion) {
    await client.transact('write', async (tx) => {
      // Taken before anything is looked at: whoever comes second finds nothing left to do.
      await tx.query('SELECT pg_advisory_xact_lock($1, $2)', ...advisoryLock(schema, 'migrate'));
      await createSchema(tx, schema);
      for (let version = await presentVersion(tx); version < schemaVersion; version += 1) {
        const migration = migrations[version];
        if (migration === undefined) break;
        await tx.query(migration.sql);
        await tx.query(
          'UPDATE revision SET schema_version = $1, readable_from = $2',
          version + 1,
          migration.readableFrom,
        );
      }
    });
  }
  const [row] = await client.query('SELECT schema_version, readable_from FROM revision');
  if (row !== undefined) refuseUnreadable(row);
}

/** @param row of `revision`. @throws STORE_NEWER */
export function refuseUnreadable(row: PgRow): void {
  if (Number(row['readable_from']) > schemaVersion) {
    throw newer(row, 'cannot read it any more', 'Start the newer version of Portunus on this node.');
  }
}

/** @param row of `revision`. @throws STORE_NEWER */
export function refuseUnwritable(row: PgRow): void {
  if (Number(row['schema_version']) > schemaVersion) {
    throw newer(row, 'serves and reads on, but does not write', 'Write through a node of the newer version.');
  }
}

function newer(row: PgRow, consequence: string, hint: string): PortunusError {
  const version = Number(row['schema_version']);
  return new PortunusError(
    'STORE_NEWER',
    `The store has schema version ${version}; this node knows ${schemaVersion} and ${consequence}.`,
    { facts: { version, known: schemaVersion }, hint },
  );
}

/** 0 while there are no tables. */
async function presentVersion(statements: PgStatements): Promise<number> {
  const [found] = await statements.query(`SELECT to_regclass('revision') IS NOT NULL AS there`);
  if (found?.['there'] !== true) return 0;
  const [row] = await statements.query('SELECT schema_version FROM revision');
  return Number(row?.['schema_version'] ?? 0);
}

async function createSchema(tx: PgStatements, schema: string): Promise<void> {
  const [found] = await tx.query('SELECT 1 AS there FROM pg_namespace WHERE nspname = $1', schema);
  if (found !== undefined) return;
  try {
    await tx.query(`CREATE SCHEMA "${schema.replaceAll('"', '""')}"`);
  } catch (error) {
    if (!isPortunusError(error, 'STORE_UNAVAILABLE') || error.facts['sqlstate'] !== '42501') throw error;
    throw new PortunusError(
      'STORE_UNAVAILABLE',
      `PostgreSQL is not available: the role may not make schema ${schema}.`,
      {
        hint: `Make it for the role: CREATE SCHEMA "${schema}" AUTHORIZATION …`,
      },
    );
  }
}

async function refuseServer(client: PgClient): Promise<void> {
  const [row] = await client.query(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding`,
  );
  if (Number(row?.['version']) < serverVersionMin) {
    throw new PortunusError('STORE_UNAVAILABLE', 'PostgreSQL is older than version 12.', {
      hint: 'Portunus works with PostgreSQL 12 and newer.',
    });
  }
  if (row?.['encoding'] !== 'UTF8') {
    throw new PortunusError('STORE_UNAVAILABLE', `The database has the encoding ${String(row?.['encoding'])}.`, {
      hint: `Create one with UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    });
  }
}
