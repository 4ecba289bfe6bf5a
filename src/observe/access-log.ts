// The access log: lines gather in memory and go to their file in few writes, beside the requests and never in their way.
// What a slow or broken destination cannot take is dropped and counted. The form of a line is access-line.ts's.
import { close, closeSync, constants, fstatSync, openSync, write } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { formatAccessLine } from './access-line.ts';
import type { AccessLog } from './contract.ts';
import { createLineBuffer } from './line-buffer.ts';

export interface AccessLogOptions {
  /** The path of a file, `stdout`, or `off`. */
  readonly destination: string;
  /** Called for each line that was dropped. */
  readonly dropped?: (lines: number) => void;
  /** Called when the destination fails, once until it works again. */
  readonly failed?: (error: Error) => void;
  /** Characters that may wait; what comes beyond is dropped. */
  readonly bufferMax?: number;
}

export interface AccessLogFile extends AccessLog, AsyncDisposable {
  /** After the file was moved away: the next lines go to a new one of the same name. */
  reopen(): void;
  /** Writes what waits; resolves when it is written or given up. */
  flush(): Promise<void>;
}

const flushIntervalMs = 500;
const defaultBufferMax = 8 * 1024 * 1024;
/** A full pipe is tried again this often; closing waits for one no longer than that. */
const retryMs = 20;
const closeTimeoutMs = 1000;
/** Linux's PIPE_BUF: up to here a write to a pipe is whole, however many processes write to it. */
const pipeWriteMax = 4096;

/** @throws the system's error when the file cannot be opened */
export function createAccessLog(options: AccessLogOptions): AccessLogFile {
  return options.destination === 'off' ? createSilentLog() : createFileLog(options);
}

function createSilentLog(): AccessLogFile {
  return {
    write() {},
    reopen() {},
    flush: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function createFileLog({
  destination,
  dropped,
  failed,
  bufferMax = defaultBufferMax,
}: AccessLogOptions): AccessLogFile {
  let output = openOutput(destination);
  const lines = createLineBuffer();
  let writing: Promise<void> | undefined;
  /** Characters that are to be written though they fill no piece. */
  let due = 0;
  let timer: NodeJS.Timeout | undefined;
  let failing = false;
  let closing = false;
  let abandoned = false;

  return {
    write(entry) {
      const line = formatAccessLine(entry, Date.now());
      if (lines.characters + line.length > bufferMax || closing) {
        dropped?.(1);
        return;
      }
      lines.add(line);
      if (lines.full) writing ??= writeDue();
      else timer ??= setTimeout(() => void flush(), flushIntervalMs).unref();
    },
    reopen() {
      if (!output.owned) return;
      try {
        const before = output;
        output = openOutput(destination);
        // A write to the old file may be on its way.
        void (writing ?? Promise.resolve()).then(() => close(before.descriptor));
      } catch (error) {
        report(error as Error);
      }
    },
    flush,
    async [Symbol.asyncDispose]() {
      if (closing) return;
      closing = true;
      await Promise.race([flush(), pause(closeTimeoutMs, undefined, { ref: false })]);
      // A full pipe is given up here; a write that blocks, on a dead network disk say, ends with the process.
      abandoned = true;
      if (writing === undefined && output.owned) closeSync(output.descriptor);
    },
  };

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    due = lines.characters;
    if (due > 0) writing ??= writeDue();
    return writing ?? Promise.resolve();
  }

  /** Whole pieces, and the rest only when it is due: or lines that come meanwhile would each be a write of their own. */
  async function writeDue(): Promise<void> {
    while (due > 0 || lines.full) {
      const piece = lines.take();
      if (piece === undefined) break;
      await writeBytes(output, piece.memory.subarray(0, piece.used));
      lines.giveBack(piece);
      due -= piece.characters;
    }
    due = 0;
    writing = undefined;
  }

  async function writeBytes({ descriptor, writeMax }: Output, bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const { error, written } = await writeOnce(descriptor, wholeLines(rest, writeMax));
      rest = rest.subarray(written);
      if (error === undefined) failing = false;
      else if (error.code === 'EAGAIN' && !abandoned) await pause(retryMs);
      else if (error.code !== 'EINTR') {
        report(error);
        dropped?.(countLines(rest));
        return;
      }
    }
  }

  function report(error: Error): void {
    if (!failing) failed?.(error);
    failing = true;
  }
}

interface Output {
  readonly descriptor: number;
  /** Opened here, so closed here. */
  readonly owned: boolean;
  readonly writeMax: number;
}

function openOutput(destination: string): Output {
  if (destination !== 'stdout') {
    const descriptor = openSync(destination, 'a', 0o640);
    return { descriptor, owned: true, writeMax: writeMaxOf(descriptor) };
  }
  const stat = fstatSync(1);
  if (stat.isFile()) return { descriptor: 1, owned: false, writeMax: writeMaxOf(1) };
  return {
    descriptor: stat.isSocket() ? unblocked() : (secondDescriptor() ?? unblocked()),
    owned: false,
    writeMax: pipeWriteMax,
  };
}

/**
 * The standard output once more, not blocking: whoever reads too slowly must not stop a thread of this process, and the
 * descriptor 1 is shared with other processes, which may want it to block. Only Linux has it, and not for sockets.
 */
function secondDescriptor(): number | undefined {
  try {
    return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Node.js makes the descriptor of its own stream not blocking when it makes the stream. */
function unblocked(): number {
  return process.stdout.fd;
}

function writeMaxOf(descriptor: number): number {
  return fstatSync(descriptor).isFIFO() ? pipeWriteMax : Number.MAX_SAFE_INTEGER;
}

interface Written {
  readonly error: NodeJS.ErrnoException | undefined;
  readonly written: number;
}

function writeOnce(descriptor: number, bytes: Uint8Array): Promise<Written> {
  return new Promise((resolve) => {
    write(descriptor, bytes, (error, written) => resolve({ error: error ?? undefined, written: error ? 0 : written }));
  });
}

/** As many lines as fit in `max` bytes, or the first alone. */
function wholeLines(bytes: Uint8Array, max: number): Uint8Array {
  if (bytes.length <= max) return bytes;
  const end = bytes.lastIndexOf(lineFeed, max - 1);
  return bytes.subarray(0, end === -1 ? bytes.indexOf(lineFeed) + 1 : end + 1);
}

const lineFeed = 0x0a;

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (const byte of bytes) if (byte === lineFeed) lines += 1;
  return lines;
}
