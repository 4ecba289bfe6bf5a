// `portunus keyring list | add | rotate`: what is said to people and programs. No key is ever shown unless it is asked for.
import type { ConfigInputs } from '../config/load-config.ts';
import { findRunningGateway } from './running-gateway.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export interface KeyringListing {
  /** Undefined when the keys come from the environment. */
  readonly file: string | undefined;
  /** False when there is none yet. */
  readonly store: boolean;
  readonly keys: readonly {
    readonly id: string;
    readonly seals: boolean;
    readonly inUse: boolean;
    readonly certificates: number;
  }[];
  /** Keys that the store needs and the keyring lacks. */
  readonly missing: readonly { readonly keyId: string; readonly certificates: number }[];
}

export interface AddedKey {
  readonly id: string;
  /** A secret. */
  readonly line: string;
  /** Undefined: the keyring is in the environment, and was not changed. */
  readonly file: string | undefined;
  /** The file was made with it. */
  readonly first: boolean;
}

export interface Rotation {
  readonly keyId: string;
  readonly certificates: number;
  /** Certificates whose key does not open: they stay as they are. */
  readonly unopened: readonly string[];
  readonly stillUsed: readonly string[];
  readonly unused: readonly string[];
  /** Live nodes that still seal under another key. */
  readonly behind: readonly string[];
}

/** As much of the gateway as these commands need. All throw PortunusError. */
export interface KeyringCommands {
  list(context: CommandContext): Promise<KeyringListing>;
  add(context: CommandContext, id: string | undefined): Promise<AddedKey>;
  /** @param to the newest key by default */
  rotate(
    context: CommandContext,
    to: string | undefined,
    progress: (done: number, total: number) => void,
  ): Promise<Rotation>;
}

export async function listKeyring(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: KeyringCommands,
  { json }: JsonOption,
): Promise<ExitCode> {
  return withConfig(terminal, inputs, async (context) => {
    const { file, store, keys, missing } = await commands.list(context);
    if (json === true) {
      printJson(terminal, { file: file ?? null, store, keys, missing });
      return missing.length === 0 ? 0 : 1;
    }
    terminal.out(`keyring: ${file ?? 'PORTUNUS_KEYRING_KEYS'}`);
    for (const { id, seals, inUse, certificates } of keys) {
      const use = inUse ? `${certificates} certificates` : 'not in use';
      terminal.out(`  ${id}  ${seals ? 'seals' : 'opens'}  ${store ? use : 'no store yet'}`);
    }
    for (const { keyId, certificates } of missing) {
      terminal.err(`Error: the store needs the key ${keyId} (${certificates} certificates), which the keyring lacks`);
    }
    return missing.length === 0 ? 0 : 1;
  });
}

export interface AddOptions {
  readonly id?: string;
  readonly printKey?: boolean;
}

export async function addToKeyring(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: KeyringCommands,
  { id, printKey }: AddOptions,
): Promise<ExitCode> {
  return withConfig(terminal, inputs, async (context) => {
    if (context.config.keyring === 'env' && printKey !== true) {
      return fail(
        terminal,
        'the keyring is in PORTUNUS_KEYRING_KEYS, which no command can change',
        'Run this with --print-key, where nobody looks on, and put the line last in the variable on every node.',
      );
    }
    const added = await commands.add(context, id);
    if (printKey === true) terminal.out(added.line);
    else
      terminal.out(`added the key ${added.id}${added.first ? ', which seals' : ', which opens and does not seal yet'}`);
    for (const step of stepsAfter(added)) terminal.err(`  ${step}`);
    return 0;
  });
}

export interface RotateOptions extends JsonOption {
  readonly to?: string;
}

export async function rotateKeyring(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: KeyringCommands,
  { to, json }: RotateOptions,
): Promise<ExitCode> {
  return withConfig(terminal, inputs, async (context) => {
    const startedAt = performance.now();
    const rotation = await commands.rotate(context, to, (done, total) => {
      const rate = Math.round((done / Math.max(1, performance.now() - startedAt)) * 1000);
      terminal.progress?.(`sealed anew ${done} of ${total} certificates, ${rate} a second`);
    });
    terminal.progress?.('');
    const gateway = findRunningGateway(context.config.prefix);
    const reload = gateway.kind === 'none' ? undefined : gateway.pid;
    if (json === true) printJson(terminal, { ...rotation, reload: reload ?? null });
    else tellRotation(terminal, rotation, reload);
    return rotation.unopened.length === 0 ? 0 : 1;
  });
}

function tellRotation(terminal: Terminal, rotation: Rotation, reload: number | undefined): void {
  const { keyId, certificates, unopened, stillUsed, unused, behind } = rotation;
  terminal.out(`sealed ${certificates} certificates anew; everything that opens is sealed under ${keyId}`);
  for (const id of unopened) terminal.err(`Error: the key of certificate ${id} does not open; upload it again`);
  if (stillUsed.length > 0) terminal.out(`still needed: ${stillUsed.join(', ')}`);
  if (reload !== undefined) terminal.err(`  Let the gateway of this node seal under it: kill -HUP ${reload}`);
  if (behind.length > 0) {
    terminal.err(`  These nodes still seal under another key: ${behind.join(', ')}.`);
    terminal.err(
      '  Copy the keyring to each, kill -HUP its gateway, and run this again for what they wrote meanwhile.',
    );
  }
  if (unused.length === 0) return;
  const sealing = behind.length > 0 || reload !== undefined ? ', once no node seals under them' : '';
  terminal.out(
    `no longer used${sealing}: ${unused.join(', ')}; they may be removed when no copy of the store needs them`,
  );
}

function stepsAfter({ id, file, first }: AddedKey): readonly string[] {
  if (file === undefined) return [`Put it last in PORTUNUS_KEYRING_KEYS on every node and start each anew.`];
  if (first) return [`Copy ${file} to every node, and keep a copy apart from copies of the store.`];
  return [
    `1. Copy ${file} to every node that shares the store, and keep a copy apart from copies of the store.`,
    '2. Let each gateway read it: kill -HUP the process in its portunus.pid.',
    `3. Then seal everything under it: portunus keyring rotate --to ${id}`,
  ];
}
