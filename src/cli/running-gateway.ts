// The gateway that runs on a data directory, as seen from another process: by the files it leaves there and by /proc.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface RunningPort {
  readonly host: string;
  readonly port: number;
}

/** What portunus.json tells; written when the gateway serves. */
export interface RunFile {
  readonly pid: number;
  readonly version: string;
  readonly status: readonly RunningPort[];
}

export type RunningGateway =
  | { readonly kind: 'none' }
  /** It has a process, but does not serve yet. */
  | { readonly kind: 'starting'; readonly pid: number }
  | { readonly kind: 'serving'; readonly pid: number; readonly facts: RunFile };

export function findRunningGateway(prefix: string): RunningGateway {
  const pid = Number(readText(path.join(prefix, 'portunus.pid'))?.trim());
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isGateway(pid)) return { kind: 'none' };
  const facts = readRunFile(path.join(prefix, 'portunus.json'));
  return facts?.pid === pid ? { kind: 'serving', pid, facts } : { kind: 'starting', pid };
}

/** The processes of gateways that stop and have let go of the directory, the latest last: what is in flight finishes. */
export function findLeavingGateways(prefix: string): readonly number[] {
  const pids = (readText(leavingFile(prefix)) ?? '').split('\n').map(Number);
  return pids.filter((pid) => Number.isSafeInteger(pid) && pid > 0 && isGateway(pid));
}

export function leavingFile(prefix: string): string {
  return path.join(prefix, 'portunus.leaving');
}

/** False also for a process that has ended and whose parent has not asked how. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const stat = readText(`/proc/${pid}/stat`);
  return stat === undefined || stat[stat.lastIndexOf(')') + 2] !== 'Z';
}

/** The id of a process that has ended may be another's by now, so the command line has to be one of ours. */
export function isGateway(pid: number): boolean {
  if (!isAlive(pid)) return false;
  if (!existsSync('/proc/self/cmdline')) return true;
  const words = readText(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
  return words.includes('start') && words.some((word) => /(^|[/\\])(main\.[jt]s|portunus(\.mjs)?)$/.test(word));
}

function readRunFile(file: string): RunFile | undefined {
  try {
    const read = JSON.parse(readText(file) ?? '') as Partial<RunFile>;
    if (typeof read.pid !== 'number' || typeof read.version !== 'string' || !Array.isArray(read.status))
      return undefined;
    return { pid: read.pid, version: read.version, status: read.status };
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
