// What this node stands on: the store that the Admin API writes to, the SQLite file that its workers read, and its place
// among the nodes. Embedded, store and file are one and the node is alone; in a cluster the store is PostgreSQL and the
// file its replica.
import { renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from './config/config.ts';
import { ensureDefaultCertificate } from './default-certificate.ts';
import { isPortunusError, PortunusError } from './lib/errors.ts';
import type { Log } from './observe/contract.ts';
import { auditLimitsOf, createClusterStore, embeddedStorePath } from './open-store.ts';
import { type FillProgress, historyOf, isFilled, startCopier } from './replica/copier.ts';
import type { Followed } from './replica/follower.ts';
import { hasIdentity } from './replica/node-identity.ts';
import { certificatesOf, checkKeyring } from './store/check-keyring.ts';
import type { KeyUse, Store, StoreReader } from './store/contract.ts';
import { createLocalRegistry } from './store/local-registry.ts';
import type { NodeRegistry, NodeReport } from './store/node-registry.ts';
import { createNodeRegistry } from './store/postgres/node-registry.ts';
import { createPgClient } from './store/postgres/postgres-client.ts';
import { createReplicaSource } from './store/postgres/replica-source.ts';
import { withFallback } from './store/reading-fallback.ts';
import type { Sealer } from './store/sealer.ts';
import { besideOf, openReplicaFile, removeReplica, type ReplicaFile } from './store/sqlite/replica-file.ts';
import { openSqliteStore } from './store/sqlite/sqlite-store.ts';

export interface NodeStore extends AsyncDisposable {
  /** Of the Admin API. */
  readonly store: Store;
  /** Answers from this machine alone. */
  readonly local: StoreReader;
  /** What the workers follow. */
  readonly changes: Followed;
  readonly file: string;
  /** 32 bytes. */
  readonly ticketSecret: Buffer;
  /** Puts a certificate into the file that it lacks. */
  readonly fetchCertificate: (id: string) => Promise<void>;
  /** Somebody could not read the file: what is done about it is done. */
  readonly damaged: () => void;
  readonly registry: NodeRegistry;
  readonly state: () => NodeReport['state'];
  /** How far the first fill of the file is; undefined when it holds everything. */
  readonly filling: () => Promise<FillProgress | undefined>;
  /** Undefined while the store can be reached and followed; else why not. */
  readonly trouble: () => string | undefined;
  /** Whether what this node has applied is of the store; not being able to reach it does not matter. */
  readonly follows: () => boolean;
}

export interface NodeStoreOptions {
  readonly config: Config;
  readonly sealer: Sealer;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** Ready to serve. @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER, KEYRING_MISMATCH */
export async function openNodeStore(options: NodeStoreOptions): Promise<NodeStore> {
  return options.config.postgres === undefined ? openEmbedded(options) : openCluster(options);
}

async function openEmbedded({ config, sealer, log, startedAt }: NodeStoreOptions): Promise<NodeStore> {
  const file = embeddedStorePath(config);
  refuseEmptied(file, config.prefix);
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openSqliteStore({ path: file, sealer, audit: auditLimitsOf(config) }));
  tellOfLacked(await checkKeyring(store, sealer), log);
  await ensureDefaultCertificate(store, sealer, startedAt);
  const ticketSecret = await store.secret('ticket');
  const open = stack.move();
  return {
    store,
    local: store,
    changes: {
      changesSince: (revision, limit) => store.changesSince(revision, limit),
      revision: () => store.revision(),
      onCommit: (nudge) => store.onCommit(nudge),
      history: () => '',
    },
    file,
    ticketSecret,
    fetchCertificate: () => Promise.reject(new TypeError('the embedded store lacks no certificate')),
    damaged: () => {
      log.error(
        { file },
        'the store is damaged: hosts that cannot be read from it fail; stop, put it aside, and restore a copy or import an export',
      );
    },
    registry: createLocalRegistry(),
    state: () => 'serving',
    filling: () => Promise.resolve(undefined),
    trouble: () => undefined,
    follows: () => true,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** A start that was cut off leaves an empty file too, but no identity of the node. @throws STORE_DAMAGED */
function refuseEmptied(file: string, prefix: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.size !== 0 || !hasIdentity(prefix)) return;
  throw new PortunusError('STORE_DAMAGED', `The store ${file} is empty, and this gateway has run before.`, {
    hint: 'Put a copy back; or remove the file, to begin with nothing.',
  });
}

function tellOfLacked(lacked: readonly KeyUse[], log: Log): void {
  if (lacked.length === 0) return;
  log.error(
    { key_ids: lacked.map(({ keyId }) => keyId), certificates: certificatesOf(lacked) },
    'certificates are sealed under keys that the keyring lacks: their names are not served; put the keys back, or replace the certificates',
  );
}

/** With a complete replica nothing here waits for PostgreSQL. */
async function openCluster({ config, sealer, log, startedAt }: NodeStoreOptions): Promise<NodeStore> {
  if (config.postgres === undefined) throw new TypeError('there is no PostgreSQL in this configuration');
  const { schema } = config.postgres;
  await using stack = new AsyncDisposableStack();
  const client = stack.use(createPgClient(config.postgres));
  const store = stack.use(createClusterStore(config, schema, client, sealer));
  const replica = stack.use(await openReplica(path.join(config.prefix, 'replica.db'), sealer, log));
  if (!isFilled(replica)) await prepareStore(store, sealer, startedAt);
  const source = createReplicaSource({ client, store });
  const copier = stack.use(startCopier({ source, replica, sealer, log }));
  if (!isFilled(replica)) {
    log.info({}, 'the replica of this node is being filled; certificates that are asked for come first');
    await copier.servable;
  }
  const sealed = replica.meta('secret_ticket');
  if (sealed === undefined) throw new Error('the replica holds no secret for session tickets');
  const stopTelling = client.onState((state) => {
    if (state.kind === 'connected') log.info({}, 'PostgreSQL is available again');
    else log.warn({ reason: state.reason }, 'PostgreSQL is not available: serving goes on, writes are refused');
  });
  stack.defer(() => stopTelling());
  const open = stack.move();
  return {
    store: withFallback(store, replica.reader, () => isFilled(replica)),
    local: replica.reader,
    changes: {
      changesSince: (revision, limit) => replica.reader.changesSince(revision, limit),
      revision: () => replica.reader.revision(),
      onCommit: copier.onCommit,
      history: () => historyOf(replica),
    },
    file: replica.path,
    ticketSecret: sealer.open(sealed, 'meta secret_ticket'),
    fetchCertificate: (id) => copier.fetchCertificate(id),
    damaged: () => copier.damaged(),
    registry: createNodeRegistry({ client, schema, store }),
    state: () => (copier.state === 'filled' ? 'serving' : 'filling'),
    filling: () => copier.fill(),
    trouble: () => (client.state.kind === 'connected' ? copier.trouble : client.state.reason),
    follows: () => copier.trouble === undefined,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** A damaged one is put aside, since it is a copy. @throws STORE_UNAVAILABLE, STORE_NEWER, KEYRING_MISMATCH */
async function openReplica(file: string, sealer: Sealer, log: Log): Promise<ReplicaFile> {
  // Of a node that ended while it filled another one.
  removeReplica(besideOf(file));
  let replica: ReplicaFile | undefined;
  try {
    replica = await openReplicaFile(file);
    if (isFilled(replica)) tellOfLacked(await checkKeyring(replica.reader, sealer), log);
    return replica;
  } catch (error) {
    replica?.[Symbol.dispose]();
    if (!isPortunusError(error, 'STORE_DAMAGED')) throw error;
    const aside = `${file}.damaged`;
    log.warn({ reason: error.message, aside }, 'the replica is damaged: it is put aside and filled anew');
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    renameSync(file, aside);
    return openReplicaFile(file);
  }
}

/** What every replica needs is in the store before the first one is filled. */
async function prepareStore(
  store: Store & { ready(): Promise<void> },
  sealer: Sealer,
  startedAt: number,
): Promise<void> {
  try {
    await store.ready();
  } catch (error) {
    // A keyring that does not open the store, or a newer store, is said as it is.
    if (!isPortunusError(error, 'STORE_UNAVAILABLE')) throw error;
    throw new PortunusError('STORE_UNAVAILABLE', `This node has no replica yet, and ${error.message}`, {
      cause: error,
      // What PostgreSQL itself has said knows better what to do.
      hint: [
        ...(error.facts['sqlstate'] === undefined ? [] : [error.hint]),
        'A node needs PostgreSQL for its first start; later ones do without.',
      ].join(' '),
    });
  }
  await checkKeyring(store, sealer);
  await ensureDefaultCertificate(store, sealer, startedAt);
  await store.secret('ticket');
}
