// What `portunus keyring …` does, put together: the keyring's file, the store, and the nodes that share it.
import { existsSync, mkdirSync } from 'node:fs';
import type { AddedKey, KeyringCommands, KeyringListing, Rotation } from './cli/keyring.ts';
import type { CommandContext } from './cli/with-config.ts';
import type { Config } from './config/config.ts';
import { keyringSource } from './keyring-source.ts';
import { PortunusError } from './lib/errors.ts';
import { embeddedStorePath, type OpenedStore, openReader, openStore, requireStore } from './open-store.ts';
import { checkWholeKeyring } from './store/check-keyring.ts';
import type { KeyUse } from './store/contract.ts';
import { addKey, makeKey, newestKey, putFirst } from './store/keyring-file.ts';
import { createKeyringFile, loadKeyring } from './store/keyring.ts';
import type { NodeRecord } from './store/node-registry.ts';
import { lockRotation } from './rotation-lock.ts';
import { createReloadableSealer } from './store/reloadable-sealer.ts';
import { resealStore } from './store/reseal.ts';
import { createSealer } from './store/sealing.ts';

export const keyringCommands: KeyringCommands = { list, add, rotate };

async function list({ config, env }: CommandContext): Promise<KeyringListing> {
  const source = keyringSource(config, env);
  if (source.source === 'file' && !existsSync(source.path)) requireStore(config);
  const { keys } = await loadKeyring(source);
  const uses = await usesOf(config);
  const used = new Map(uses?.map(({ keyId, certificates }) => [keyId, certificates]));
  const held = new Set(keys.map(({ id }) => id));
  return {
    file: source.source === 'file' ? source.path : undefined,
    store: uses !== undefined,
    keys: keys.map(({ id }, index) => ({
      id,
      seals: index === 0,
      inUse: used.has(id),
      certificates: used.get(id) ?? 0,
    })),
    missing: (uses ?? []).filter(({ keyId }) => !held.has(keyId)),
  };
}

async function add({ config, env }: CommandContext, id: string | undefined): Promise<AddedKey> {
  const source = keyringSource(config, env);
  const key = makeKey(id);
  if (source.source === 'env') return { ...key, file: undefined, first: false };
  if (!existsSync(source.path) && (config.postgres !== undefined || !existsSync(embeddedStorePath(config)))) {
    mkdirSync(config.prefix, { recursive: true, mode: 0o700 });
    await createKeyringFile(source.path, key.line);
    return { ...key, file: source.path, first: true };
  }
  await addKey(source.path, key, Date.now());
  return { ...key, file: source.path, first: false };
}

async function rotate(
  context: CommandContext,
  to: string | undefined,
  progress: (done: number, total: number) => void,
): Promise<Rotation> {
  const { config, env } = context;
  const source = keyringSource(config, env);
  requireStore(config);
  const keyring = await loadKeyring(source);
  const target = to ?? (source.source === 'file' ? await newestKey(source.path) : keyring.keys[0].id);
  const sealer = createReloadableSealer(createSealer(keyring));
  await using store = await openStore(config, sealer);
  await using lock = await lockRotation(config);
  await checkWholeKeyring(store, sealer);
  refuseLackingNodes(await liveNodes(store, config), target);
  if (source.source === 'file') await putFirst(source.path, target);
  else refuseOther(keyring.keys[0].id, target);
  sealer.replace(createSealer(await loadKeyring(source)));
  const { certificates, unopened } = await resealStore(store, sealer, {
    progress(done, total) {
      lock.check();
      progress(done, total);
    },
  });
  const used = new Set((await store.keysInUse()).map(({ keyId }) => keyId));
  const behind = (await liveNodes(store, config)).filter(({ keyIds }) => keyIds[0] !== target);
  return {
    keyId: target,
    certificates,
    unopened,
    stillUsed: sealer.keyIds.filter((id) => id !== target && used.has(id)),
    unused: sealer.keyIds.filter((id) => id !== target && !used.has(id)),
    behind: behind.map(({ name }) => name),
  };
}

async function usesOf(config: Config): Promise<readonly KeyUse[] | undefined> {
  await using reader = await openReader(config);
  return await reader?.keysInUse();
}

async function liveNodes({ nodes }: OpenedStore, config: Config): Promise<readonly NodeRecord[]> {
  const all = (await nodes?.list()) ?? [];
  return all.filter(({ silentMs, state }) => silentMs < config.nodeTimeoutMs && state !== 'stopping');
}

function refuseOther(first: string, target: string): void {
  if (first === target) return;
  throw new PortunusError('KEYRING_UNREADABLE', `The key ${target} is not the first of PORTUNUS_KEYRING_KEYS.`, {
    hint: 'Put it first there, start every node anew, and run this again.',
  });
}

/** They could open nothing that is sealed under it. */
function refuseLackingNodes(nodes: readonly NodeRecord[], keyId: string): void {
  const lacking = nodes.filter(({ keyIds }) => !keyIds.includes(keyId)).map(({ name }) => name);
  if (lacking.length === 0) return;
  throw new PortunusError('KEYRING_MISMATCH', `These nodes do not hold the key ${keyId}: ${lacking.join(', ')}.`, {
    facts: { lacking },
    hint: 'Give them the keyring with this key, and let them read it: kill -HUP, or a start anew. Nothing was changed.',
  });
}
