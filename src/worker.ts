// A worker process: a data plane that does what the primary says. It ends when the primary tells it to, or is gone.
import process from 'node:process';
import { createDataPlane, type DataPlane, type DataPlaneReport } from './data-plane.ts';
import { createLog } from './observe/log.ts';
import type { Log } from './observe/contract.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';
import { withholdMemory } from './withhold-memory.ts';
import type { FromWorker, ToWorker } from './workers/protocol.ts';

withholdMemory();

let started: Promise<DataPlane> | undefined;
let log: Log = createLog({ level: 'info', name: 'worker' });
let draining = false;
let drainTimeoutMs = 0;

/** Certificates that were asked for, by id. Each is asked for once at a time, and waits no longer than its handshakes. */
const needed = new Map<string, PromiseWithResolvers<void>>();

// Messages are handled one after another, in order: what is published while the catalog loads waits until it has.
let last: Promise<void> = Promise.resolve();
process.on('message', (message: ToWorker, handle: object | undefined) => {
  last = last.then(() => receive(message, handle)).catch(fail);
});
process.on('disconnect', () => void drain(false));
// A terminal sends these to the whole group; the primary decides.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR2'] as const)
  process.on(signal, () => undefined);
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

async function receive(message: ToWorker, handle: object | undefined): Promise<void> {
  switch (message.kind) {
    case 'start':
      started = start(message);
      say({ kind: 'loaded', revision: (await started).revision });
      break;
    case 'listen':
      if (handle === undefined) throw new Error('no listening socket came with the message');
      await (await plane()).listen(message.address, handle);
      break;
    case 'listeners-sent':
      say({ kind: 'listening' });
      break;
    case 'changes':
      (await plane()).apply(message.revision, message.changes);
      say({ kind: 'applied', revision: message.revision });
      break;
    case 'certificate-fetched':
      needed.get(message.id)?.resolve();
      needed.delete(message.id);
      break;
    case 'report':
      say({ kind: 'report', request: message.request, report: (await plane()).report() });
      break;
    case 'ping':
      say({ kind: 'alive' });
      break;
    case 'reopen-logs':
      (await plane()).reopenLogs();
      break;
    case 'drain':
      // Not awaited: reports are answered meanwhile.
      void drain(message.socketsStay);
      break;
  }
}

async function start(message: Extract<ToWorker, { kind: 'start' }>): Promise<DataPlane> {
  const { config } = message;
  log = createLog({ level: config.logLevel, name: 'worker' });
  drainTimeoutMs = config.drainTimeoutMs;
  const sealer = createSealer(await loadKeyring({ source: 'env', value: message.keyring }));
  return createDataPlane({
    config,
    storePath: message.store,
    fetchCertificate,
    storeDamaged: () => say({ kind: 'store-damaged' }),
    sealer,
    ticketSecret: Buffer.from(message.ticketSecret, 'base64'),
    log,
  });
}

function fetchCertificate(id: string): Promise<void> {
  let waiting = needed.get(id);
  if (waiting === undefined) {
    waiting = Promise.withResolvers<void>();
    needed.set(id, waiting);
    say({ kind: 'need-certificate', id });
  }
  return waiting.promise;
}

async function plane(): Promise<DataPlane> {
  if (started === undefined) throw new Error('told to work before being started');
  return started;
}

/** Also when the primary is gone: what is in flight gets its time, then the process ends by itself. */
async function drain(socketsStay: boolean): Promise<void> {
  if (draining) return;
  draining = true;
  const killer = setTimeout(end, drainTimeoutMs);
  try {
    const running = await started;
    await running?.drain(socketsStay);
    await running?.[Symbol.asyncDispose]();
  } finally {
    clearTimeout(killer);
    end();
  }
}

function fail(error: unknown): void {
  log.error({ reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'worker fails');
  process.exitCode = 1;
  end();
}

/** Connections may still be open: their time is over. */
function end(): void {
  process.exit();
}

function say(message: FromWorker<DataPlaneReport>): void {
  // The primary may be gone, which `disconnect` tells.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
