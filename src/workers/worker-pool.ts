// The worker processes of this node: started, told of changes, asked for reports, replaced when they die or are renewed.
// What a worker does inside is worker.ts's.
import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { PortunusError } from '../lib/errors.ts';
import type { Log } from '../observe/contract.ts';
import type { Acknowledgements } from '../replica/acknowledgements.ts';
import type { Publish } from '../replica/follower.ts';
import type { ListeningSocket } from './listening-socket.ts';
import type { FromWorker, ToWorker } from './protocol.ts';

/** A worker that dies this soon after its start is replaced only after a pause, which doubles up to `pauseMaxMs`. */
const shortLifeMs = 2000;
const pauseMinMs = 100;
const pauseMaxMs = 5000;
const reportTimeoutMs = 2000;
/** A worker that loads a large store on a busy machine says nothing meanwhile. */
const startTimeoutMs = 120_000;
/**
 * Connections leave a few ten thousand bytes of short-lived objects each: with more room for the young they die before
 * they are copied. Twice V8's own room, half of it from the start.
 */
const workerFlags = ['--max-semi-space-size=32', '--min-semi-space-size=16', '--disable-sigusr1'];
/** How often the workers are looked after within `worker_timeout`. */
const looksPerTimeout = 4;

export interface WorkerPoolOptions {
  /** The module a worker process runs. */
  readonly module: string;
  readonly sockets: readonly (readonly ListeningSocket[])[];
  readonly start: Omit<Extract<ToWorker, { kind: 'start' }>, 'kind'>;
  /** Puts a certificate into the file that it lacks. */
  readonly fetchCertificate: (id: string) => Promise<void>;
  /** A worker could not read the file. */
  readonly storeDamaged: () => void;
  readonly acknowledgements: Acknowledgements;
  readonly log: Log;
}

export interface WorkerPool<Report> extends AsyncDisposable {
  /** Resolves when every worker accepts connections. @throws WORKER_FAILED when one of the first ends before it does */
  readonly ready: Promise<void>;
  /** How many accept connections now, and how many there should be. */
  readonly listening: number;
  readonly size: number;
  readonly publish: Publish;
  /** Of those that answer in time. `worker` never names two processes. */
  reports(): Promise<readonly { readonly worker: number; readonly pid: number; readonly report: Report }[]>;
  reopenLogs(): void;
  /** Replaces the workers one by one by new ones with these; each old one drains when its successor listens. */
  renew(changed: Pick<WorkerPoolOptions['start'], 'config' | 'keyring'>): Promise<void>;
  /** Resolves when every worker has ended; those that are not done in time are killed. */
  drain(timeoutMs: number): Promise<void>;
}

interface Worker<Report> {
  readonly id: number;
  readonly slot: number;
  readonly child: ChildProcess;
  readonly startedAt: number;
  state: 'starting' | 'listening' | 'draining';
  replaceWhenItEnds: boolean;
  readonly listening: PromiseWithResolvers<void>;
  readonly exited: Promise<void>;
  readonly asked: Map<number, (report: Report) => void>;
  /** When it was last heard of. */
  seenAt: number;
  /** Of the configuration it runs with. */
  readonly drainTimeoutMs: number;
  /** While it drains. */
  drainEndsAt: number;
}

export function startWorkerPool<Report>(options: WorkerPoolOptions): WorkerPool<Report> {
  const { acknowledgements, log, sockets } = options;
  const workers = new Map<number, Worker<Report>>();
  const pauses = new Map<number, number>();
  const respawns = new Set<NodeJS.Timeout>();
  let start = options.start;
  let stopping = false;
  let lastId = 0;
  let lastRequest = 0;

  const first = sockets.map((_, slot) => startWorker(slot));
  const intervalMs = options.start.config.workerTimeoutMs / looksPerTimeout;
  const looking = setInterval(lookAfterWorkers, intervalMs).unref();
  let lookedAt = performance.now();

  return {
    ready: Promise.all(first.map(firstListening)).then(() => undefined),
    size: sockets.length,
    get listening() {
      return [...workers.values()].filter((worker) => worker.state === 'listening').length;
    },
    publish(revision, changes) {
      const told = changes === 'everything' ? changes : changes.map(({ entity, id }) => ({ entity, id }));
      for (const worker of workers.values()) send(worker, { kind: 'changes', revision, changes: told });
    },
    async reports() {
      const asked = [...workers.values()].filter((worker) => worker.state !== 'starting').map(ask);
      return (await Promise.all(asked)).filter((answer) => answer !== undefined);
    },
    reopenLogs() {
      for (const worker of workers.values()) send(worker, { kind: 'reopen-logs' });
    },
    async renew(changed) {
      const before = start;
      start = { ...start, ...changed };
      try {
        for (const old of [...workers.values()].filter((worker) => worker.state !== 'draining')) await succeed(old);
      } catch (error) {
        // A worker that dies later is not replaced with what has just proved not to work.
        start = before;
        throw error;
      }
    },
    async drain(timeoutMs) {
      stop();
      for (const set of sockets) for (const socket of set) socket[Symbol.dispose]();
      for (const worker of workers.values()) drainWorker(worker, false);
      const killer = setTimeout(killAll, timeoutMs);
      await Promise.all([...workers.values()].map((worker) => worker.exited));
      clearTimeout(killer);
    },
    async [Symbol.asyncDispose]() {
      stop();
      killAll();
      await Promise.all([...workers.values()].map((worker) => worker.exited));
    },
  };

  function startWorker(slot: number, { replaceWhenItEnds } = { replaceWhenItEnds: true }): Worker<Report> {
    const child = fork(options.module, [], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'json',
      // The operator's own flags come last and win.
      execArgv: [...workerFlags, ...process.execArgv],
      // A worker that replaces another should be there soon: compiled code is kept (250 ms to load becomes 70 ms).
      env: {
        NODE_COMPILE_CACHE: path.join(start.config.prefix, 'compile-cache'),
        // Half of these ask for names of upstreams: some whose servers say nothing leave room for others.
        UV_THREADPOOL_SIZE: '16',
        ...environmentOfWorkers(),
      },
    });
    const exit = Promise.withResolvers<void>();
    const worker: Worker<Report> = {
      id: (lastId += 1),
      slot,
      child,
      startedAt: performance.now(),
      state: 'starting',
      replaceWhenItEnds,
      listening: Promise.withResolvers<void>(),
      exited: exit.promise,
      asked: new Map(),
      seenAt: performance.now(),
      drainTimeoutMs: start.config.drainTimeoutMs,
      drainEndsAt: Number.POSITIVE_INFINITY,
    };
    workers.set(worker.id, worker);
    child.on('message', (message) => receive(worker, message as FromWorker<Report>));
    child.on('error', (error) => {
      log.error({ worker: worker.id, reason: error.message }, 'worker process error');
      // There never was a process, for want of descriptors or memory say: nothing else tells of its end.
      if (child.pid === undefined) over(null, null);
    });
    child.on('exit', over);
    send(worker, { kind: 'start', ...start });
    return worker;

    function over(code: number | null, signal: NodeJS.Signals | null): void {
      ended(worker, code, signal);
      exit.resolve();
    }
  }

  function receive(worker: Worker<Report>, message: FromWorker<Report>): void {
    worker.seenAt = performance.now();
    switch (message.kind) {
      case 'loaded':
        // Joins before it listens: what is published from here on reaches it before its first connection.
        acknowledgements.join(worker.id, message.revision);
        for (const socket of sockets[worker.slot] ?? []) {
          send(worker, { kind: 'listen', address: { ...socket.address, port: socket.port } }, socket.handle);
        }
        send(worker, { kind: 'listeners-sent' });
        break;
      case 'listening':
        if (worker.state === 'starting') worker.state = 'listening';
        worker.listening.resolve();
        log.debug({ worker: worker.id, pid: worker.child.pid }, 'worker accepts connections');
        break;
      case 'applied':
        acknowledgements.acknowledge(worker.id, message.revision);
        break;
      case 'report':
        worker.asked.get(message.request)?.(message.report);
        break;
      case 'need-certificate': {
        // It looks for itself whether it is there now.
        const answer = (): void => send(worker, { kind: 'certificate-fetched', id: message.id });
        options.fetchCertificate(message.id).then(answer, answer);
        break;
      }
      case 'store-damaged':
        options.storeDamaged();
        break;
      case 'alive':
        break;
    }
  }

  function ended(worker: Worker<Report>, code: number | null, signal: NodeJS.Signals | null): void {
    if (!workers.delete(worker.id)) return;
    acknowledgements.leave(worker.id);
    if (stopping || worker.state === 'draining') return;
    log.error({ worker: worker.id, pid: worker.child.pid, code, signal }, 'worker ended unexpectedly');
    if (!worker.replaceWhenItEnds) return;
    const livedMs = performance.now() - worker.startedAt;
    const pauseMs = livedMs > shortLifeMs ? 0 : Math.min(pauseMaxMs, (pauses.get(worker.slot) ?? pauseMinMs / 2) * 2);
    pauses.set(worker.slot, pauseMs);
    const timer = setTimeout(() => {
      respawns.delete(timer);
      startWorker(worker.slot);
    }, pauseMs);
    respawns.add(timer);
  }

  /** One new worker in the place of an old one, which stays when the new one fails. */
  async function succeed(old: Worker<Report>): Promise<void> {
    if (stopping) throw new Error('the gateway stops');
    // Its successor is on the way already.
    old.replaceWhenItEnds = false;
    const successor = startWorker(old.slot, { replaceWhenItEnds: false });
    await Promise.race([successor.listening.promise, successor.exited]);
    if (successor.state === 'listening') {
      successor.replaceWhenItEnds = true;
      drainWorker(old, true);
      return;
    }
    old.replaceWhenItEnds = true;
    if (stopping) throw new Error('the gateway stops');
    if (!workers.has(old.id)) startWorker(old.slot);
    throw new Error('a new worker ended before it listened; the old ones stay');
  }

  async function firstListening(worker: Worker<Report>): Promise<void> {
    await Promise.race([worker.listening.promise, worker.exited]);
    if (worker.state === 'starting')
      throw new PortunusError('WORKER_FAILED', 'a worker ended before it accepted connections');
  }

  async function ask(worker: Worker<Report>): Promise<{ worker: number; pid: number; report: Report } | undefined> {
    const request = (lastRequest += 1);
    const answer = Promise.withResolvers<Report | undefined>();
    const timer = setTimeout(answer.resolve, reportTimeoutMs, undefined);
    worker.asked.set(request, answer.resolve);
    send(worker, { kind: 'report', request });
    void worker.exited.then(() => answer.resolve(undefined));
    const report = await answer.promise;
    clearTimeout(timer);
    worker.asked.delete(request);
    return report === undefined ? undefined : { worker: worker.id, pid: worker.child.pid ?? 0, report };
  }

  function drainWorker(worker: Worker<Report>, socketsStay: boolean): void {
    worker.state = 'draining';
    worker.drainEndsAt = performance.now() + worker.drainTimeoutMs;
    send(worker, { kind: 'drain', socketsStay });
    const drainingInSlot = [...workers.values()].filter(
      ({ slot, state }) => slot === worker.slot && state === 'draining',
    );
    for (const oldest of drainingInSlot.slice(0, -start.config.drainingWorkersMax)) {
      log.warn(
        { worker: oldest.id, pid: oldest.child.pid },
        'a worker of an earlier reload is ended with what it serves',
      );
      oldest.child.kill('SIGKILL');
    }
  }

  /** A worker that is stopped or caught in a loop serves nobody: it is ended, and replaced as any that dies. */
  function lookAfterWorkers(): void {
    const now = performance.now();
    // Where this process itself stood still, nothing it has not heard says anything about its workers.
    const late = now - lookedAt > intervalMs * 2;
    lookedAt = now;
    for (const worker of workers.values()) {
      if (worker.state === 'draining') {
        // It ends by itself when its time is over, unless it stands still.
        if (!late && now - worker.drainEndsAt > options.start.config.workerTimeoutMs) worker.child.kill('SIGKILL');
        continue;
      }
      if (late) worker.seenAt = now;
      const { workerTimeoutMs } = options.start.config;
      const silentMaxMs = worker.state === 'starting' ? Math.max(workerTimeoutMs, startTimeoutMs) : workerTimeoutMs;
      if (now - worker.seenAt <= silentMaxMs) send(worker, { kind: 'ping' });
      else {
        log.error({ worker: worker.id, pid: worker.child.pid }, 'a worker gives no sign of life and is ended');
        worker.child.kill('SIGKILL');
      }
    }
  }

  function stop(): void {
    stopping = true;
    clearInterval(looking);
    for (const timer of respawns) clearTimeout(timer);
  }

  function killAll(): void {
    for (const worker of workers.values()) worker.child.kill('SIGKILL');
  }

  function send(worker: Worker<Report>, message: ToWorker, handle?: object): void {
    if (!worker.child.connected) return;
    // A worker that dies meanwhile is noticed by its exit.
    worker.child.send(message, handle as never, { keepOpen: true }, () => undefined);
  }
}

/** Without settings: some are secrets, and what a worker needs of them it is told. */
function environmentOfWorkers(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PORTUNUS_')));
}
