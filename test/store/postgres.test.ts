// The contract over PostgreSQL.
import { after, before } from 'node:test';
import { storeContract } from '../contracts/store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { temporaryPostgres } from './temporary-postgres.ts';

let server: PostgresServer | undefined;
before(async () => {
  server = await startPostgres();
});
after(() => server?.[Symbol.asyncDispose]());

storeContract('postgres', (options) => temporaryPostgres(server?.port ?? 0, options));
