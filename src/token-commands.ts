// What `portunus token …` does, put together: the store of the configuration, while gateways serve.
import type { ListedToken, TokenCommands } from './cli/token.ts';
import type { CommandContext } from './cli/with-config.ts';
import { keyringSource, openKeyring } from './keyring-source.ts';
import { PortunusError } from './lib/errors.ts';
import { newId } from './lib/new-id.ts';
import type { Token } from './model/entities.ts';
import { makeTokenText } from './model/token-text.ts';
import { type OpenedStore, openStore, requireStore } from './open-store.ts';
import { pageSizeMax } from './store/contract.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';

const actor = 'command:token';

export const tokenCommands: TokenCommands = {
  async create({ config, env }, wanted, madeKeyring) {
    const keyring = await openKeyring(config, env, madeKeyring);
    await using store = await openStore(config, createSealer(keyring));
    const { text, prefix, hash } = makeTokenText();
    const token: Token = { id: newId(), ...wanted, prefix, hash, createdAt: Date.now() };
    await store.transact(actor, async (tx) => {
      if ((await tx.tokens.findByName(wanted.name)) !== undefined) {
        throw new PortunusError('UNIQUE_VIOLATION', `There is a token ${wanted.name} already.`, {
          hint: `Take another name, or revoke that one: portunus token revoke ${wanted.name}`,
        });
      }
      await tx.tokens.insert(token);
    });
    return { token: withoutHash(token), text };
  },

  async list(context) {
    await using store = await openExisting(context);
    const found: ListedToken[] = [];
    for (let after: string | undefined; ;) {
      const { items, next } = await store.tokens.list({ size: pageSizeMax, after });
      found.push(...items.map(withoutHash));
      if (next === undefined) return found;
      after = next;
    }
  },

  async revoke(context, name) {
    await using store = await openExisting(context);
    const { value } = await store.transact(actor, async (tx) => {
      const token = await tx.tokens.findByName(name);
      if (token === undefined) throw new PortunusError('ENTITY_NOT_FOUND', `There is no token ${name}.`);
      await tx.tokens.delete(token.id);
      return token;
    });
    return withoutHash(value);
  },
};

/** @throws STORE_UNAVAILABLE when there is no embedded store: it is not made for this */
async function openExisting({ config, env }: CommandContext): Promise<OpenedStore> {
  requireStore(config);
  return openStore(config, createSealer(await loadKeyring(keyringSource(config, env))));
}

function withoutHash({ id, name, role, prefix, createdAt, expiresAt }: Token): ListedToken {
  return { id, name, role, prefix, createdAt, expiresAt };
}
