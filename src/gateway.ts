// The primary process, put together: it owns the store, the keyring, the Admin API, the status listener, the listening
// sockets and the workers. Everything is disposed in the reverse order of its making.
import { isIPv6 } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createAdminServer } from './admin/admin-server.ts';
import { findRunningGateway } from './cli/running-gateway.ts';
import { adminTls } from './admin-tls.ts';
import { demandsToken } from './config/admin-access.ts';
import type { Config, ListenAddress } from './config/config.ts';
import { formatAddress } from './config/listeners.ts';
import { waitsForRestart } from './config/waits-for-restart.ts';
import { tellOfFileLimit } from './file-limit.ts';
import { beginAs, isRoot } from './lib/become-user.ts';
import { keyringSource, openKeyring } from './keyring-source.ts';
import { PortunusError, reasonOf } from './lib/errors.ts';
import { within } from './lib/within.ts';
import type { Log } from './observe/contract.ts';
import { createLog } from './observe/log.ts';
import { createStatusServer, type StatusServer } from './observe/status-server.ts';
import { createNodeStatus } from './node-status.ts';
import { type NodeStore, openNodeStore } from './node-store.ts';
import { listenForSignals } from './signals.ts';
import { reloadKeyring } from './reload-keyring.ts';
import { createAcknowledgements } from './replica/acknowledgements.ts';
import { joinCluster } from './replica/cluster.ts';
import { follow } from './replica/follower.ts';
import { loadIdentity, renewId } from './replica/node-identity.ts';
import { forgetLeaving, type RunDirectory, type RunningPort, takeRunDirectory } from './run-file.ts';
import { type Serving, startServing, workerModule } from './serving.ts';
import { pageSizeMax } from './store/contract.ts';
import type { Keyring } from './store/keyring.ts';
import { createReloadableSealer } from './store/reloadable-sealer.ts';
import { createSealer } from './store/sealing.ts';
import { bindListeningSockets, listenError } from './workers/listening-socket.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly version: string;
  /** The settings as the Admin API shows them, secrets redacted. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Reads the configuration again; undefined when it is refused, which the reader has reported. */
  readonly reload: () => Config | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** What runs the gateway. */
export interface GatewayProcess {
  /** Ends it, whatever is under way. */
  readonly fail: () => never;
}

/** A gateway that is being succeeded leaves its status listener within this. */
const statusLeftMaxMs = 5000;
const statusLeftPollMs = 20;
/** For closing files, sockets and processes that have nothing to do any more. */
const closeTimeoutMs = 1000;
/** How long a request of the Admin API that is under way may hold up the end of everything but the data plane. */
const adminCloseTimeoutMs = 10_000;
const tellEveryMs = 5000;
const lookForSuccessorEveryMs = 100;

/** Resolves when the gateway has stopped. @throws PortunusError when it cannot start */
export async function runGateway(options: GatewayOptions, { fail }: GatewayProcess): Promise<void> {
  const { config, version, env } = options;
  const startedAt = Date.now();
  const log = createLog({ level: config.logLevel, name: 'portunus' });
  failLoudly(log, fail);
  // The data plane may outlive the rest: what is in flight finishes while a successor has the data directory already.
  await using dataPlane = new AsyncDisposableStack();
  await using stack = new AsyncDisposableStack();
  const signals = listenForSignals(log);
  const becoming = beginAs(config.user, config.prefix);
  const { directory, besideOther } = await takeRunDirectory(config.prefix);
  dataPlane.defer(() => forgetLeaving(config.prefix));
  stack.use(directory);
  const sockets = becoming.asRoot(() =>
    bindListeningSockets(config.proxyListen, Math.max(1, config.workers), besideOther),
  );
  for (const socket of sockets.flat()) dataPlane.use(socket);
  becoming.forGood([process.execPath, workerModule]);
  tellWhoItIs(config, log);
  tellOfFileLimit(config, log);

  const keyring = await openKeyring(config, env, (file) =>
    log.info({ keyring: file }, 'made a keyring; keep a copy of it apart from copies of the store'),
  );
  const sealer = createReloadableSealer(createSealer(keyring));
  const nodeStore = stack.use(await openNodeStore({ config, sealer, log, startedAt }));
  await refuseNobody(config, nodeStore.local, startedAt);
  const { store, changes, file: storePath, ticketSecret } = nodeStore;

  const acknowledgements = createAcknowledgements(() => cluster.changed());
  const cluster = stack.use(
    joinCluster({
      registry: nodeStore.registry,
      identity: loadIdentity(config.prefix, { name: config.nodeName, address: config.nodeAddress, version }),
      renewId: () => renewId(config.prefix),
      report: () => ({
        // What it has applied of another store proves nothing.
        applied: nodeStore.follows() ? acknowledgements.applied() : undefined,
        state: nodeStore.state(),
        keyIds: sealer.keyIds,
      }),
      nodeTimeoutMs: config.nodeTimeoutMs,
      log,
    }),
  );
  const revision = await changes.revision();
  const serves = { config, keyring, storePath, sealer, ticketSecret, sockets, acknowledgements, log };
  const serving = dataPlane.use(
    startServing({ ...serves, fetchCertificate: nodeStore.fetchCertificate, storeDamaged: nodeStore.damaged }),
  );
  stack.use(
    follow(
      changes,
      revision,
      (upTo, changed) => serving.publish(upTo, changed),
      (error) => log.error({ reason: reasonOf(error) }, 'the store could not be read; changes wait'),
    ),
  );

  const node = createNodeStatus({ nodeStore, serving, acknowledgements, version, startedAt, config });
  const admin = stack.use(
    await createAdminServer({
      store,
      tokens: nodeStore.local.tokens,
      sealer,
      config: { ...config, trustedIpsConfigured: config.trustedIps.length > 0 },
      whenApplied: async (wanted) => ({ applied: await acknowledgements.whenApplied(wanted, config.applyTimeoutMs) }),
      whenAppliedByAll: (wanted, committedAt, timeoutMs = config.clusterWaitTimeoutMs) =>
        cluster.whenAppliedByAll(wanted, committedAt, timeoutMs),
      nodes: () => cluster.nodes(),
      storeTrouble: nodeStore.trouble,
      status: node.status,
      countUpload: node.countUpload,
      countRefusal: node.countAdminRefusal,
      log,
      now: Date.now,
      version,
      settings: options.settings,
    }),
  );
  const statusServer = dataPlane.use(createStatusServer({ ...node, hosts: config.adminHosts, log }));
  await Promise.race([serving.ready, signals.stopRequested]);

  const facts = {
    pid: process.pid,
    version,
    proxy: config.proxyListen.map(({ host, ssl }, at) => ({ host, ssl, port: sockets[0]?.[at]?.port ?? 0 })),
    admin: await listenAll(
      {
        listen: async (address) =>
          admin.listen({
            ...address,
            demandsToken: demandsToken(config.adminAuth, address),
            tls: address.ssl ? await adminTls(config, nodeStore.local, sealer) : undefined,
          }),
      },
      config.adminListen,
    ),
    status: await listenAll(besideOther ? onceFree(statusServer) : statusServer, config.statusListen),
  };
  directory.publish(facts);
  log.info(
    {
      version,
      workers: config.workers,
      prefix: config.prefix,
      proxy: facts.proxy.map(urlOf),
      admin: facts.admin.map(urlOf),
      status: facts.status.map(urlOf),
    },
    'portunus serves',
  );
  let { drainTimeoutMs, drainDelayMs } = config;
  signals.onReload(async () => {
    // With either of them refused nothing is taken: a key that seals here must open in the workers.
    const changed = options.reload();
    if (changed === undefined) return;
    const taken = await reloadKeyring({ source: keyringSource(config, env), reader: store, sealer, log });
    if (taken === undefined) return;
    log.setLevel(changed.logLevel);
    admin.renewTls(await adminTls(changed, nodeStore.local, sealer));
    await renew(serving, config, changed, taken, log);
    drainTimeoutMs = changed.drainTimeoutMs;
    drainDelayMs = changed.drainDelayMs;
  });
  signals.onReopen(() => serving.reopenLogs());

  const signal = await signals.stopRequested;
  log.info({ signal, drain_delay_ms: drainDelayMs }, 'stopping: what is in flight finishes');
  signals.onReload(() => {
    log.info({}, 'stopping: the configuration is not read again');
    return Promise.resolve();
  });
  await node.stop();
  leave(directory, log);
  const over = timeLimit(Math.min(drainTimeoutMs, adminCloseTimeoutMs));
  // What hangs on a lock that others hold, say, is cut: stores survive that.
  const left = Promise.race([admin.close(), over.reached])
    .then(() => within(closeTimeoutMs, stack.disposeAsync()))
    .catch((error: unknown) =>
      log.error({ reason: reasonOf(error) }, 'stopping: what was open could not be closed in order'),
    );
  const delay = timeLimit(drainDelayMs);
  const successor = watchForSuccessor(config.prefix);
  void successor.starts.then(() => statusServer[Symbol.asyncDispose]());
  const drained = Promise.race([delay.reached, successor.serves]).then(() => serving.drain(drainTimeoutMs));
  const telling = setInterval(() => void tellOpen(serving, log), tellEveryMs);
  await Promise.race([Promise.all([left, drained]), signals.stopInsisted]);
  clearInterval(telling);
  over.clear();
  delay.clear();
  successor.clear();
  await Promise.all([within(closeTimeoutMs, stack.disposeAsync()), within(closeTimeoutMs, dataPlane.disposeAsync())]);
  log.info({}, 'stopped');
}

/** What is in flight finishes also where nothing can be written any more: on a full disk, say. */
function leave(directory: RunDirectory, log: Log): void {
  try {
    directory.leave();
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'stopping: no successor can start beside this gateway');
  }
}

async function tellOpen(serving: Serving, log: Log): Promise<void> {
  const reports = await serving.reports();
  const connections = reports.reduce((sum, { report }) => sum + report.connections, 0);
  log.info({ connections }, connections === 0 ? 'stopping: none is open' : 'stopping: connections are still open');
}

function tellWhoItIs({ user }: Config, log: Log): void {
  if (isRoot()) {
    log.warn({}, 'this gateway runs as root: name another user with the setting user, or start it as one');
  } else if (user !== undefined && process.getuid?.() !== user.uid) {
    log.warn({ uid: process.getuid?.() }, 'the setting user has no effect: only root can become another user');
  }
}

/** An Admin API that demands tokens when there is none would answer nobody. @throws ADMIN_NOBODY_PERMITTED */
async function refuseNobody(config: Config, local: NodeStore['local'], now: number): Promise<void> {
  const { adminListen, adminAuth, adminClients } = config;
  const hasCallers = (adminClients?.role ?? 'none') !== 'none';
  const closed = adminListen.filter((address) => demandsToken(adminAuth, address) && !(address.ssl && hasCallers));
  if (closed.length === 0) return;
  for (let after: string | undefined; ;) {
    const { items, next } = await local.tokens.list({ size: pageSizeMax, after });
    if (items.some(({ expiresAt }) => expiresAt === null || expiresAt > now)) return;
    if (next === undefined) break;
    after = next;
  }
  throw new PortunusError(
    'ADMIN_NOBODY_PERMITTED',
    `The Admin API on ${closed.map(formatAddress).join(', ')} demands tokens, and there is none that is valid.`,
    { hint: 'Make one: portunus token create <name>, with the same configuration.' },
  );
}

/** @param running what the primary was started with */
async function renew(serving: Serving, running: Config, changed: Config, keyring: Keyring, log: Log): Promise<void> {
  // The store that is open stays, and so does what opens it.
  await serving.renew({ ...changed, prefix: running.prefix, keyring: running.keyring }, keyring);
  const settings = waitsForRestart(running, changed);
  if (settings.length > 0) log.warn({ settings }, 'these settings were changed and take effect at the next start');
  log.info({}, 'the configuration was read again and the workers renewed');
}

/** Another gateway that takes the data directory over, and then serves from it. */
function watchForSuccessor(prefix: string): {
  readonly starts: Promise<void>;
  readonly serves: Promise<void>;
  clear(): void;
} {
  const starts = Promise.withResolvers<void>();
  const serves = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    const found = findRunningGateway(prefix);
    if (found.kind === 'none' || found.pid === process.pid) return;
    starts.resolve();
    if (found.kind === 'serving') serves.resolve();
  }, lookForSuccessorEveryMs);
  return { starts: starts.promise, serves: serves.promise, clear: () => clearInterval(timer) };
}

interface TimeLimit {
  readonly reached: Promise<void>;
  clear(): void;
}

/**
 * What nobody expected leaves a state that nobody knows. Its stack is told and nothing else that it carries, a statement's
 * parameters say. Workers see that the primary is gone and finish what is in flight.
 */
function failLoudly(log: Log, fail: () => never): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error(
        { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) },
        'the gateway fails',
      );
      fail();
    });
  }
}

function timeLimit(ms: number): TimeLimit {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return { reached: promise, clear: () => clearTimeout(timer) };
}

/** Waits until the gateway that stops has left the port to this one. */
function onceFree(server: StatusServer): Pick<StatusServer, 'listen'> {
  const endsAt = performance.now() + statusLeftMaxMs;
  return {
    async listen(address) {
      for (;;) {
        try {
          return await server.listen(address);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || performance.now() > endsAt) throw error;
        }
        await pause(statusLeftPollMs);
      }
    },
  };
}

async function listenAll(
  server: { listen(address: ListenAddress): Promise<number> },
  addresses: readonly ListenAddress[],
): Promise<RunningPort[]> {
  const running: RunningPort[] = [];
  for (const address of addresses) {
    const { host, ssl } = address;
    running.push({ host, ssl, port: await listenOrExplain(server, address) });
  }
  return running;
}

async function listenOrExplain(
  server: { listen(address: ListenAddress): Promise<number> },
  address: ListenAddress,
): Promise<number> {
  try {
    return await server.listen(address);
  } catch (error) {
    throw listenError((error as NodeJS.ErrnoException).code ?? 'EUNKNOWN', address, address.port);
  }
}

function urlOf({ host, port, ssl }: RunningPort): string {
  return `${ssl ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
