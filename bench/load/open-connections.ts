// Idle connections, kept open by a process of its own until they are disposed.
import { startPinned } from '../processes.ts';
import { scriptOf } from './load.ts';

/** Resolves when all of them are open and were used once. */
export async function openConnections(
  core: number,
  port: number,
  host: string,
  connections: number,
): Promise<AsyncDisposable> {
  const args = [scriptOf('idle-connections'), String(port), host, String(connections)];
  const started = startPinned(core, process.execPath, args, { output: 'pipe' });
  await new Promise<void>((resolve, reject) => {
    started.output?.once('data', () => resolve());
    started.output?.once('close', () =>
      reject(new Error('idle connections: not all could be opened, or one was closed')),
    );
  });
  return started;
}
