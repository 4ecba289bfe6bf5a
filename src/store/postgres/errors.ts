// What PostgreSQL and the way to it say, in Portunus's terms. Messages hold no statement, no parameter and no password.
import { isPortunusError, PortunusError } from '../../lib/errors.ts';

/** SQLSTATE of errors that are not this program's fault, by class or whole, and what to do where one knows. */
const unavailable: readonly (readonly [state: string, reason: string, hint?: string])[] = [
  ['3D000', 'the database does not exist', 'Create it: CREATE DATABASE … OWNER …'],
  ['28', 'it refuses the login', 'Check pg_user, pg_password and the server’s pg_hba.conf.'],
  ['42501', 'the role lacks a right', 'The role must own its schema, or be allowed to create it.'],
  ['3F000', 'its schema is missing', 'Start this node again: it makes what is missing.'],
  ['42P01', 'its tables are missing', 'Start this node again: it makes what is missing.'],
  ['0A000', 'its tables have changed meanwhile'],
  [
    '55P03',
    'another write holds the store',
    'Try again. If it lasts, pg_stat_activity shows who holds the table "revision".',
  ],
  ['40', 'the transaction was given up for another one'],
  ['57014', 'a statement took too long'],
  ['57', 'it is stopping or starting'],
  ['53', 'it has run out of connections, memory or disk'],
  ['58', 'its system has failed'],
  ['25P03', 'the session stood still for too long'],
  ['25006', 'it is read-only', 'Point pg_host at the primary server.'],
  ['08', 'the connection was lost'],
  ['XX', 'it has failed internally'],
];

export function lostConnection(reason = 'the connection was lost', cause?: unknown): PortunusError {
  return new PortunusError('STORE_UNAVAILABLE', `PostgreSQL is not available: ${reason}.`, {
    cause,
    hint: 'Nothing was changed. Serving goes on; try again when the database is back.',
  });
}

/** What `lostConnection` was made of, and its like. */
export function reasonIn(error: PortunusError): string {
  return error.message.replace(/^PostgreSQL is not available: |\.$/g, '');
}

/** @throws STORE_UNAVAILABLE in the place of what the connection and the server say; anything else as it is */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): unknown {
  if (isPortunusError(error) || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'PostgresError') {
    const known = unavailable.find(([state]) => code.startsWith(state));
    // Its own message may quote values: only the code is kept.
    if (known === undefined) return new Error(`PostgreSQL refuses a statement (SQLSTATE ${code})`);
    const [, reason, hint] = known;
    return new PortunusError('STORE_UNAVAILABLE', `PostgreSQL is not available: ${reason} (SQLSTATE ${code}).`, {
      facts: { sqlstate: code },
      ...(hint !== undefined && { hint }),
    });
  }
  if (error instanceof TypeError || error instanceof RangeError) return error;
  return lostConnection(reasonOfConnection(code, error), undefined);
}

function reasonOfConnection(code: string, error: Error): string {
  if (code === 'ECONNREFUSED') return 'the connection was refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its host name is not known';
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)) return `its certificate is not trusted (${code})`;
  if (code.startsWith('ERR_SSL') || /SSL|TLS/.test(error.message)) return 'it does not speak TLS as asked';
  return `the connection was lost${code === '' ? '' : ` (${code})`}`;
}
