// Makes the names in a directory durable: a file that was synced can still lose its name with the power.
import { open } from 'node:fs/promises';

/** Does nothing on Windows, where directories cannot be synced and need not be. */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
