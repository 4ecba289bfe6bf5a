// `portunus health`: whether the gateway on a data directory serves clients, by its own word.
import type { ConfigInputs } from '../config/load-config.ts';
import { formatAddress } from '../config/listeners.ts';
import { loadBasics } from './load-basics.ts';
import { findLeavingGateways, findRunningGateway } from './running-gateway.ts';
import type { RunFile } from './running-gateway.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';

interface Health {
  readonly healthy: boolean;
  readonly message: string;
  readonly hint?: string;
  readonly pid?: number;
  readonly version?: string;
}

const timeoutMs = 5000;

export async function health(terminal: Terminal, inputs: ConfigInputs, { json }: JsonOption): Promise<ExitCode> {
  const basics = loadBasics(terminal, inputs);
  if (basics === undefined) return 1;
  const { prefix } = basics;
  const { hint, ...state } = await examine(prefix);
  if (json === true) printJson(terminal, { ...state, prefix });
  else if (state.healthy) terminal.out(state.message);
  else fail(terminal, state.message, hint);
  return state.healthy ? 0 : 1;
}

async function examine(prefix: string): Promise<Health> {
  const gateway = findRunningGateway(prefix);
  if (gateway.kind === 'none') {
    const pid = findLeavingGateways(prefix).at(-1);
    if (pid !== undefined) return { healthy: false, pid, message: `Portunus is stopping at ${prefix}` };
    return { healthy: false, message: `Portunus is not running at ${prefix}` };
  }
  const { pid } = gateway;
  if (gateway.kind === 'starting') return { healthy: false, pid, message: `Portunus is starting at ${prefix}` };
  const { facts } = gateway;
  const { version } = facts;
  const url = readyUrl(facts);
  if (url === undefined) {
    const hint = 'Give it an address: status_listen = 127.0.0.1:8007';
    return { healthy: false, pid, version, message: 'status_listen is off, so nobody can be asked', hint };
  }
  const answer = await ask(url);
  if (answer === 200) return { healthy: true, pid, version, message: `Portunus is healthy at ${prefix}` };
  const message = `Portunus is not ready at ${prefix}: ${url} answered ${answer}`;
  return { healthy: false, pid, version, message };
}

/** An address that stands for all addresses is asked on this machine's own. */
function readyUrl({ status }: RunFile): string | undefined {
  const [first] = status;
  if (first === undefined) return undefined;
  const own: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  return `http://${formatAddress({ host: own[first.host] ?? first.host, port: first.port })}/status/ready`;
}

/** The status code, or why there is none. */
async function ask(url: string): Promise<number | string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    const { cause, name } = error as Error;
    if (name === 'TimeoutError') return `nothing in ${timeoutMs / 1000} s`;
    return `nothing (${(cause as NodeJS.ErrnoException | undefined)?.code ?? name})`;
  }
}
