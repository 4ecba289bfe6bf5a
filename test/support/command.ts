// Runs a command to its end, as a person at a shell would.
import { spawn } from 'node:child_process';
import { hear } from './secrets.ts';

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
}

export function command(name: string, args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined).end(options.input ?? '');
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (!isToShowKeys(name, args)) hear(`what ${args.slice(0, 3).join(' ')} said`, `${stdout}\n${stderr}`);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** @throws when the command does not end with 0 */
export async function succeed(name: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await command(name, args, options);
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}`);
  return stdout;
}

/** OpenSSL makes keys, and an export may be for them. */
function isToShowKeys(name: string, args: readonly string[]): boolean {
  return name === 'openssl' || args.includes('--with-keys');
}
