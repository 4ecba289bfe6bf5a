// A small file that is whole at every moment, whoever reads it.
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Writes the file (mode 0600) under another name and puts it in its place. What stands there by either name, a link that leads elsewhere
 * say, is replaced and not followed.
 * @throws the system's error
 */
export function replaceFile(file: string, text: string): void {
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
  renameSync(draft, file);
}
