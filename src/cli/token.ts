// `portunus token create | list | revoke`: what is said to people and programs. A token is shown when it is made, and never again.
import type { ConfigInputs } from '../config/load-config.ts';
import { parseDuration } from '../config/quantities.ts';
import type { Token, TokenRole } from '../model/entities.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export type ListedToken = Omit<Token, 'hash'>;

/** As much of the store as these commands need. All throw PortunusError. */
export interface TokenCommands {
  create(
    context: CommandContext,
    wanted: Pick<Token, 'name' | 'role' | 'expiresAt'>,
    /** There was neither a keyring nor a store. */
    madeKeyring: (file: string) => void,
  ): Promise<{ readonly token: ListedToken; readonly text: string }>;
  list(context: CommandContext): Promise<readonly ListedToken[]>;
  /** @throws ENTITY_NOT_FOUND */
  revoke(context: CommandContext, name: string): Promise<ListedToken>;
}

export interface CreateTokenOptions extends JsonOption {
  readonly role?: string;
  readonly expires?: string;
}

const roles: readonly TokenRole[] = ['admin', 'certificates', 'read'];
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

export async function createToken(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: TokenCommands,
  name: string,
  { role: wantedRole = 'admin', expires, json }: CreateTokenOptions,
): Promise<ExitCode> {
  const role = roles.find((each) => each === wantedRole);
  if (role === undefined) return fail(terminal, `there is no role ${wantedRole}: ${roles.join(', ')}`);
  if (!nameForm.test(name)) {
    return fail(
      terminal,
      'a name has 1 to 64 letters, digits, dots, dashes, underscores and @, a letter or digit first',
    );
  }
  const expiresAt = expires === undefined ? null : readExpiry(expires, Date.now());
  if (expiresAt === undefined) {
    return fail(
      terminal,
      `--expires ${expires} is no time to come: a duration such as 90d or 12h, or a date such as 2027-01-31`,
    );
  }
  return withConfig(terminal, inputs, async (context) => {
    const { token, text } = await commands.create(context, { name, role, expiresAt }, (file) =>
      terminal.err(`made a keyring, ${file}; keep a copy of it apart from copies of the store`),
    );
    if (json === true) printJson(terminal, { ...shown(token), token: text });
    else {
      terminal.out(text);
      terminal.err(`  This is the token ${name} (${role}), shown this once. Send it as Authorization: Bearer …`);
    }
    return 0;
  });
}

export async function listTokens(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: TokenCommands,
  { json }: JsonOption,
): Promise<ExitCode> {
  return withConfig(terminal, inputs, async (context) => {
    const tokens = await commands.list(context);
    if (json === true) printJson(terminal, { data: tokens.map(shown) });
    else if (tokens.length === 0) terminal.err('there are no tokens');
    else for (const token of tokens) terminal.out(describe(token, Date.now()));
    return 0;
  });
}

export async function revokeToken(
  terminal: Terminal,
  inputs: ConfigInputs,
  commands: TokenCommands,
  name: string,
  { json }: JsonOption,
): Promise<ExitCode> {
  return withConfig(terminal, inputs, async (context) => {
    const revoked = await commands.revoke(context, name);
    if (json === true) printJson(terminal, { revoked: shown(revoked) });
    else terminal.out(`revoked ${name}: nobody is let in with it any more`);
    return 0;
  });
}

function describe({ name, role, prefix, createdAt, expiresAt }: ListedToken, now: number): string {
  const expiry =
    expiresAt === null
      ? 'does not expire'
      : `${expiresAt > now ? 'expires' : 'expired'} ${new Date(expiresAt).toISOString()}`;
  return `${name.padEnd(20)} ${role.padEnd(12)} ptn_${prefix}_…  made ${new Date(createdAt).toISOString()}, ${expiry}`;
}

function shown({ id, name, role, prefix, createdAt, expiresAt }: ListedToken): object {
  return {
    id,
    name,
    role,
    prefix,
    created_at: new Date(createdAt).toISOString(),
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  };
}

/** Undefined when it is neither a duration nor a date, or past. */
function readExpiry(text: string, now: number): number | undefined {
  const duration = parseDuration(text);
  const at = duration === undefined ? Date.parse(/^\d{4}-\d{2}-\d{2}/.test(text) ? text : '') : now + duration;
  return at > now && !Number.isNaN(new Date(at).getTime()) ? at : undefined;
}
