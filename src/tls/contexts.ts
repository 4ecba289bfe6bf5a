// TLS contexts: made on first use from a certificate record and what names demand beside (policies.ts), kept in a bounded
// LRU, one for each certificate and policy. Which of both a client gets is select.ts's; what is negotiated is OpenSSL's.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { CertificateRecord, SealedPair } from '../catalog/contract.ts';
import { createLru } from '../lib/lru.ts';
import type { TlsPolicy } from './policies.ts';
import type { TlsCounters, TlsLog, TlsSettings, TlsVersion } from './settings.ts';
import { deriveTickets, type PolicyTickets, type TicketKeys } from './ticket-keys.ts';

type ContextResult =
  | { readonly kind: 'ready'; readonly context: SecureContext }
  /** The record cannot serve: its key does not open or match, or it is no certificate. Its names fail, no others. */
  | { readonly kind: 'unusable' };

export interface Contexts {
  readonly size: number;
  /** What was made of this certificate at this revision, if it is still kept. @param policy undefined: none */
  find(certificateId: string, revision: number, policy?: TlsPolicy): ContextResult | undefined;
  /** Found or made. Never throws for what the record holds. */
  get(record: CertificateRecord, policy?: TlsPolicy): ContextResult;
  /** Drops what was made of a certificate, connections that use it go on. */
  forget(certificateId: string): void;
  /** Drops everything: where one number stands for two states, a revision tells nothing any more. */
  forgetAll(): void;
  /** Could it not be used when it was last asked for? At most `unusableMax` are remembered. */
  isUnusable(certificateId: string, revision: number, policy?: TlsPolicy): boolean;
}

export interface ContextDependencies {
  readonly settings: TlsSettings;
  /** The private key in PEM or DER; the buffer is wiped after use. Throws when it cannot be opened. */
  readonly openKey: (pair: SealedPair) => Buffer;
  /** 32 bytes, the same on all nodes. */
  readonly ticketSecret: Uint8Array;
  /** Milliseconds of the wall clock, which ticket keys rotate by. */
  readonly now: () => number;
  readonly counters: TlsCounters;
  readonly log: TlsLog;
}

/** Post-quantum hybrid first; then what every client has. */
export const groups = 'X25519MLKEM768:X25519:P-256:P-384';
/** How many unusable certificates are remembered. */
export const unusableMax = 10_000;
/** What OpenSSL asks for by default (112 bits: RSA of 2048). */
const modernRsaBits = 2048;

interface Made {
  readonly revision: number;
  readonly result: ContextResult & { kind: 'ready' };
  readonly tickets: PolicyTickets;
  /** Those the context has. */
  ticketKeys: TicketKeys;
}

const unusableResult: ContextResult = { kind: 'unusable' };

/** What is negotiated with, from the configuration and the policy. */
interface Terms {
  readonly policyKey: string | undefined;
  readonly minVersion: TlsVersion;
  readonly ciphers: string;
  readonly authorities: readonly string[];
}

/** Ids have no space in them. */
function keyOf(certificateId: string, policy: Pick<TlsPolicy, 'key'> | undefined): string {
  return policy === undefined ? certificateId : `${certificateId} ${policy.key}`;
}

function demands(policy: TlsPolicy | undefined): object | undefined {
  return policy && { minVersion: policy.minVersion, ciphers: policy.ciphers, authorities: policy.authorities.length };
}

/** Making a context takes 0.2 to 0.4 ms, so a miss costs less than the handshake it belongs to. */
export function createContexts(dependencies: ContextDependencies): Contexts {
  const { settings, openKey, ticketSecret, now, counters, log } = dependencies;
  const kept = createLru<string, Made>(settings.tlsContextsMax, (_, made) => {
    release(made);
    counters.contextEvicted();
  });
  let underPolicies = false;
  /** The revision that failed, under the same keys. */
  const failed = createLru<string, number>(unusableMax);

  return {
    get size() {
      return kept.size;
    },
    find,
    get: (record, policy) => find(record.id, record.revision, policy) ?? make(record, policy),
    forget(certificateId) {
      forget(certificateId);
      if (!underPolicies) return;
      const start = keyOf(certificateId, { key: '' });
      for (const [key] of [...kept.entries(), ...failed.entries()]) if (key.startsWith(start)) forget(key);
    },
    forgetAll() {
      for (const [key] of kept.entries()) drop(key);
      failed.clear();
    },
    isUnusable,
  };

  function find(certificateId: string, revision: number, policy: TlsPolicy | undefined): ContextResult | undefined {
    const key = keyOf(certificateId, policy);
    const made = kept.get(key);
    if (made?.revision === revision) {
      rotateTickets(made);
      counters.contextHit();
      return made.result;
    }
    return isUnusable(certificateId, revision, policy) ? unusableResult : undefined;
  }

  function isUnusable(certificateId: string, revision: number, policy: TlsPolicy | undefined): boolean {
    return failed.get(keyOf(certificateId, policy)) === revision;
  }

  /** Before and after the keys' time: the clock may be set back too. */
  function rotateTickets(made: Made): void {
    const time = now();
    if (time >= made.ticketKeys.from && time < made.ticketKeys.until) return;
    made.ticketKeys = made.tickets.keysAt(time);
    setTicketKeys(made.result.context, made.ticketKeys.keys);
  }

  function forget(key: string): void {
    drop(key);
    failed.delete(key);
  }

  function drop(key: string): void {
    const made = kept.peek(key);
    if (made === undefined) return;
    kept.delete(key);
    release(made);
  }

  function make(record: CertificateRecord, policy: TlsPolicy | undefined): ContextResult {
    const key = keyOf(record.id, policy);
    if (policy !== undefined) underPolicies = true;
    drop(key);
    try {
      const terms = termsOf(policy);
      const tickets = ticketsOf(record, terms);
      const ticketKeys = tickets.keysAt(now());
      const context = makeContext(record, terms, {
        sessionIdContext: tickets.sessionIdContext,
        ticketKeys: ticketKeys.keys,
      });
      const result = { kind: 'ready', context } as const;
      kept.set(key, { revision: record.revision, result, tickets, ticketKeys });
      failed.delete(key);
      counters.contextMade(true);
      return result;
    } catch (error) {
      failed.set(key, record.revision);
      counters.contextMade(false);
      // OpenSSL's words are about structure and never quote the key; still only its code is written down.
      log.error(
        { certificateId: record.id, revision: record.revision, ...demands(policy), code: codeOf(error) },
        'a certificate cannot be used; handshakes for its names fail',
      );
      return unusableResult;
    }
  }

  function termsOf(policy: TlsPolicy | undefined): Terms {
    return {
      policyKey: policy?.key,
      minVersion: policy?.minVersion ?? settings.sslMinVersion,
      ciphers: policy?.ciphers ?? settings.sslCiphers,
      authorities: policy?.authorities.map(({ pem }) => pem) ?? [],
    };
  }

  function ticketsOf(record: CertificateRecord, { policyKey, minVersion, ciphers }: Terms): PolicyTickets {
    const policy = {
      certificateId: record.id,
      fingerprints: record.pairs.map((pair) => pair.fingerprint),
      minVersion,
      maxVersion: settings.sslMaxVersion,
      ciphers,
      policyKey,
    };
    return deriveTickets(ticketSecret, policy, settings.sslSessionTicketRotationMs);
  }

  function makeContext(record: CertificateRecord, terms: Terms, ticketOptions: SecureContextOptions): SecureContext {
    if (record.pairs.length === 0) throw new Error('no pair');
    // OpenSSL would make a context that nobody can connect to.
    if (terms.minVersion > settings.sslMaxVersion) throw new Error('no version');
    const keys: Buffer[] = [];
    try {
      for (const pair of record.pairs) keys.push(openKey(pair));
      const options = { ...contextOptions(record, terms, keys), ...ticketOptions };
      try {
        return withoutIssuer(createSecureContext(options), record);
      } catch (error) {
        if (codeOf(error) !== 'ERR_SSL_EE_KEY_TOO_SMALL' || settings.sslMinRsaBits >= modernRsaBits) throw error;
        return createSecureContext({ ...options, ...loweredSecurityLevel(terms.ciphers) });
      }
    } finally {
      for (const key of keys) key.fill(0);
    }
  }

  function contextOptions(record: CertificateRecord, terms: Terms, keys: Buffer[]): SecureContextOptions {
    const { minVersion, ciphers, authorities } = terms;
    // A resumed session says that its client proved something, and not what: who is asked, is asked each time.
    const tickets = settings.sslSessionTickets && authorities.length === 0;
    return {
      cert: record.pairs.map((pair) => pair.chain),
      key: keys,
      // Without a list Node gives each context the public roots.
      ca: [...authorities],
      // An authority may be an intermediate, whose issuer nobody here trusts.
      ...(authorities.length === 0 ? {} : { allowPartialTrustChain: true }),
      minVersion,
      maxVersion: settings.sslMaxVersion,
      ciphers,
      ecdhCurve: groups,
      // All suites are good. The list begins with AES-128, where OpenSSL's clients would take AES-256 with SHA-384; one
      // that begins with ChaCha has no hardware for AES and gets ChaCha.
      honorCipherOrder: true,
      ...(ciphers.includes('DHE-RSA') ? { dhparam: 'auto' } : {}),
      secureOptions:
        constants.SSL_OP_NO_RENEGOTIATION |
        constants.SSL_OP_PRIORITIZE_CHACHA |
        (tickets ? 0 : constants.SSL_OP_NO_TICKET),
      sessionTimeout: settings.sslSessionTimeoutSeconds,
    };
  }
}

/**
 * Gives OpenSSL's part of a context back at once: 40 to 80 KiB that the garbage collector does not see, and so is in no
 * hurry to free. Connections made with it hold a reference of their own.
 */
function release({ result }: Made): void {
  const native = result.context.context as { close?: () => void };
  native.close?.();
}

const certificateEnd = '-----END CERTIFICATE-----';

/**
 * Has node:tls drop the copy of the intermediate that it keeps to answer for it, a ninth of a context's memory: it goes when
 * the leaf is set once more, alone. Chain and key of the context stay.
 */
function withoutIssuer(context: SecureContext, { pairs }: CertificateRecord): SecureContext {
  const chain = pairs.at(-1)?.chain ?? '';
  const end = chain.indexOf(certificateEnd) + certificateEnd.length;
  const native = context.context as { setCert?: (pem: string) => void };
  if (chain.includes(certificateEnd, end)) native.setCert?.(chain.slice(0, end));
  return context;
}

/** What node:tls does with `ticketKeys` when it makes a context; connections under way go on. */
function setTicketKeys(context: SecureContext, keys: Buffer): void {
  (context.context as { setTicketKeys: (keys: Buffer) => void }).setTicketKeys(keys);
}

/** For a key let in by `ssl_min_rsa_bits`, this context alone: 1024 bits count as 80 bits of security, level 1. */
function loweredSecurityLevel(ciphers: string): SecureContextOptions {
  const lowered = `${ciphers}:@SECLEVEL=1`;
  const hasTls12 = ciphers.split(':').some((cipher) => !cipher.startsWith('TLS_'));
  // The level is part of the TLS 1.2 list, which may not be that alone; the version keeps what fills it out of use.
  return hasTls12 ? { ciphers: lowered } : { ciphers: `ECDHE-RSA-AES128-GCM-SHA256:${lowered}`, minVersion: 'TLSv1.3' };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
