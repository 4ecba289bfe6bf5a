// The thread that composes certificates for an import. What it is told and answers is in compose-threads.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { createSealer } from '../store/sealing.ts';
import { composeEntry, type Composed } from './compose-entry.ts';
import type { ComposeTask, ThreadData, ThreadMessage } from './compose-threads.ts';

const { keyring, minRsaBits, force, passphrase, tags } = workerData as ThreadData;
const sealer = createSealer(keyring);
const known = new Map<string, readonly string[]>();

async function compose({ items, now }: ComposeTask): Promise<readonly Composed[]> {
  const intermediatesOf = (subjectKey: string) => known.get(subjectKey) ?? [];
  const options = { sealer, now, minRsaBits, force, passphrase, tags, intermediatesOf };
  return Promise.all(items.map((item) => composeEntry(item, options)));
}

async function receive(message: ThreadMessage): Promise<void> {
  if (message.kind === 'known') known.set(message.subjectKey, message.pems);
  else parentPort?.postMessage({ id: message.id, composed: await compose(message) });
}

// A failure ends the thread, which whoever waits for it is told.
parentPort?.on('message', (message: ThreadMessage) => void receive(message));
