// Who calls the Admin API, and what that caller may do: tokens in `Authorization: Bearer` or Kong's `Kong-Admin-Token`.
import { PortunusError } from '../lib/errors.ts';
import type { TokenRole } from '../model/entities.ts';
import { isSecretOf, parseTokenText } from '../model/token-text.ts';
import type { StoreReader } from '../store/contract.ts';
import type { Route } from './contract.ts';
import type { FailureLimit } from './failure-limit.ts';

export interface Caller {
  /** For the log of changes: `token:ci`, `admin:127.0.0.1`. */
  readonly actor: string;
  readonly role: TokenRole;
}

export interface Credentials {
  readonly authorization: string | undefined;
  /** The header `Kong-Admin-Token`. */
  readonly kongAdminToken: string | undefined;
  readonly address: string;
}

export interface AuthenticateDeps {
  readonly tokens: Pick<StoreReader['tokens'], 'findByPrefix'>;
  readonly failures: FailureLimit;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * A token that is sent is checked also where none is demanded.
 * @throws ADMIN_TOKEN_MISSING, ADMIN_TOKEN_INVALID, ADMIN_FAILURES_TOO_MANY
 */
export async function authenticate(
  { tokens, failures, now }: AuthenticateDeps,
  { authorization, kongAdminToken, address }: Credentials,
  isDemanded: boolean,
): Promise<Caller> {
  if (authorization === undefined && kongAdminToken === undefined) {
    if (!isDemanded) return { actor: `admin:${address}`, role: 'admin' };
    throw new PortunusError('ADMIN_TOKEN_MISSING', 'This Admin API takes requests with a token only', {
      hint: 'Send Authorization: Bearer <token>. portunus token create <name> makes one.',
    });
  }
  const sent = parseTokenText(kongAdminToken ?? bearerOf(authorization ?? '') ?? '');
  const token = sent && (await tokens.findByPrefix(sent.prefix));
  // Whether there is such a prefix, the same work is done.
  const isSecret = isSecretOf(token?.hash ?? nobodysHash, sent?.secret ?? '');
  const isValid = token !== undefined && isSecret && (token.expiresAt === null || token.expiresAt > now());
  if (isValid) return { actor: `token:${token.name}`, role: token.role };
  // A right token is taken whatever else came from its address: many may share one, and nobody guesses 32 random bytes.
  const waitMs = failures.waitMs(address);
  if (waitMs > 0) {
    throw new PortunusError('ADMIN_FAILURES_TOO_MANY', 'Too many wrong tokens came from this address', {
      facts: { retryAfterSeconds: Math.ceil(waitMs / 1000) },
    });
  }
  failures.countFailure(address);
  throw new PortunusError('ADMIN_TOKEN_INVALID', 'The token is not one of this gateway, was revoked, or has expired');
}

/** Of no token. */
const nobodysHash = '0'.repeat(64);

/** @throws ADMIN_ROLE_INSUFFICIENT */
export function authorize({ role }: Caller, { method, path }: Pick<Route, 'method' | 'path'>): void {
  if (isPermitted[role](method, path.split('/')[1] ?? '')) return;
  throw new PortunusError('ADMIN_ROLE_INSUFFICIENT', `The role ${role} does not permit this`);
}

type Permits = (method: Route['method'], resource: string) => boolean;

const ofCertificates: ReadonlySet<string> = new Set(['certificates', 'snis', 'schemas']);

const isPermitted: Readonly<Record<TokenRole, Permits>> = {
  admin: () => true,
  certificates: (method, resource) => ofCertificates.has(resource) || (method === 'GET' && resource === ''),
  read: (method) => method === 'GET',
};

/** RFC 6750 section 2.1. */
function bearerOf(authorization: string): string | undefined {
  return /^Bearer +([^ ]+) *$/i.exec(authorization)?.[1];
}
