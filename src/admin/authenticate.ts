// Who calls the Admin API, and what that caller may do: certificates of the TLS handshake, tokens in `Authorization: Bearer` or
// Kong's `Kong-Admin-Token`.
import { PortunusError } from '../lib/errors.ts';
import type { TokenRole } from '../model/entities.ts';
import { isSecretOf, parseTokenText } from '../model/token-text.ts';
import type { StoreReader } from '../store/contract.ts';
import type { ClientCertificate } from './client-certificate.ts';
import type { Route } from './contract.ts';
import type { FailureLimit } from './failure-limit.ts';

export interface Caller {
  /** For the audit trail: `token:ci`, `certificate:CN=ci sha256:…`, `admin:127.0.0.1`. */
  readonly actor: string;
  readonly role: TokenRole;
}

export interface Credentials {
  readonly authorization: string | undefined;
  /** The header `Kong-Admin-Token`. */
  readonly kongAdminToken: string | undefined;
  readonly certificate: ClientCertificate;
  readonly address: string;
}

/** What a listener asks of its callers. */
export interface Demands {
  /** Whether callers have to say who they are. */
  readonly identity: boolean;
  /** Undefined: it asks for no certificates. */
  readonly certificates: CertificateDemands | undefined;
}

export interface CertificateDemands {
  /** Whether nobody is let in without one. */
  readonly isDemanded: boolean;
  /** What a caller may do who sends no token besides; `none`: nothing. */
  readonly role: TokenRole | 'none';
}

export interface AuthenticateDeps {
  readonly tokens: Pick<StoreReader['tokens'], 'findByPrefix'>;
  readonly failures: FailureLimit;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * A token that is sent is checked also where none is demanded, and says more than a certificate: who and what it is for.
 * @throws ADMIN_CERTIFICATE_MISSING, ADMIN_CERTIFICATE_INVALID, ADMIN_TOKEN_MISSING, ADMIN_TOKEN_INVALID,
 *   ADMIN_FAILURES_TOO_MANY
 */
export async function authenticate(
  { tokens, failures, now }: AuthenticateDeps,
  { authorization, kongAdminToken, certificate, address }: Credentials,
  { identity, certificates }: Demands,
): Promise<Caller> {
  checkCertificate(certificate, certificates);
  if (authorization === undefined && kongAdminToken === undefined) {
    const role = certificates?.role ?? 'none';
    if (certificate.kind === 'verified' && role !== 'none') return { actor: `certificate:${certificate.name}`, role };
    if (!identity && certificates?.isDemanded !== true) return { actor: `admin:${address}`, role: 'admin' };
    throw tokenMissing(role !== 'none');
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

function tokenMissing(orCertificate: boolean): PortunusError {
  const credentials = orCertificate ? 'a token or a client certificate' : 'a token';
  const certificate = ' Or connect with a certificate of an authority of admin_ssl_client_ca: curl --cert … --key …';
  return new PortunusError('ADMIN_TOKEN_MISSING', `This Admin API takes requests with ${credentials} only`, {
    hint: `Send Authorization: Bearer <token>. portunus token create <name> makes one.${orCertificate ? certificate : ''}`,
  });
}

function checkCertificate(certificate: ClientCertificate, certificates: CertificateDemands | undefined): void {
  if (certificates === undefined) return;
  if (certificate.kind === 'refused') {
    throw new PortunusError('ADMIN_CERTIFICATE_INVALID', `The client certificate is refused: ${certificate.reason}`);
  }
  if (certificate.kind === 'none' && certificates.isDemanded) {
    throw new PortunusError(
      'ADMIN_CERTIFICATE_MISSING',
      'This Admin API takes requests with a client certificate only',
      {
        hint: 'Connect with one that an authority of admin_ssl_client_ca has signed: curl --cert … --key …',
      },
    );
  }
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
