// What is to be said about a server certificate in its place: dates, names, use, strength, and what it replaces.
import type { Certificate } from './certificate.ts';
import type { Chain } from './chain.ts';
import { coversName } from './covers-name.ts';
import type { MaterialField } from './describe-misfit.ts';
import { finding, quote, type Finding } from './findings.ts';
import { newKeyHint } from './private-key.ts';
import { rsaMaxBits, strengthOf, type PublicKeyFacts } from './public-key.ts';

export interface Circumstances {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly minRsaBits: number;
  readonly force: boolean;
  readonly expectedNames: readonly string[];
  readonly replaces: { readonly notAfter: number; readonly dnsNames: readonly string[] } | undefined;
}

export interface Judgement {
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/** The leaf by itself, apart from its key. */
export function judgeLeaf(leaf: Certificate, circumstances: Circumstances): Judgement {
  const expired = judgeExpiry(leaf, circumstances);
  const refusedFor = expired !== undefined && !circumstances.force ? [expired] : [];
  const forced = expired !== undefined && circumstances.force ? [expired] : [];
  return {
    problems: refusedFor,
    warnings: [...forced, ...judgeDates(leaf, circumstances), ...judgeNames(leaf, circumstances), ...judgeUse(leaf)],
  };
}

/** A key's kind and size, wherever it was found. */
export function judgeStrength(
  facts: PublicKeyFacts | undefined,
  whose: string,
  field: MaterialField,
  minRsaBits: number,
): Judgement {
  if (facts === undefined) {
    const message = `${whose} is of a kind that cannot be read.`;
    return { problems: [finding('KEY_UNSUPPORTED', field, message, newKeyHint)], warnings: [] };
  }
  const strength = strengthOf(facts, minRsaBits);
  const is = `${whose} is ${facts.kind}`;
  if (strength.kind === 'enough') return { problems: [], warnings: [] };
  if (strength.kind === 'rare') {
    const message = `${is}, which few TLS clients and not all browsers accept.`;
    return { problems: [], warnings: [finding('KEY_TYPE_RARE', field, message, 'Prefer P-256, P-384 or RSA 2048.')] };
  }
  if (strength.kind === 'weak') {
    const isShort = facts.type === 'rsa' && facts.bits < minRsaBits;
    const hint = isShort ? `${newKeyHint} The floor is ssl_min_rsa_bits.` : newKeyHint;
    return {
      problems: [finding('KEY_TOO_WEAK', field, `${is}, which is weaker than ${strength.floor}.`, hint)],
      warnings: [],
    };
  }
  const why = facts.type === 'rsa' ? `longer than ${rsaMaxBits} bits` : 'which TLS clients do not accept';
  return { problems: [finding('KEY_UNSUPPORTED', field, `${is}, ${why}.`, newKeyHint)], warnings: [] };
}

/** The links above the leaf: a TLS context refuses weak keys in them, clients refuse the rest. */
export function judgeChain(chain: Chain, { now, minRsaBits }: Circumstances): Judgement {
  const [leaf, ...above] = chain.certificates;
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  for (const one of above) {
    const whose = `The key of the intermediate ${quote(one.subject)}`;
    problems.push(...judgeStrength(one.publicKey, whose, 'cert', minRsaBits).problems);
    if (one.notAfter < now) {
      const message = `The intermediate ${quote(one.subject)} expired on ${day(one.notAfter)}.`;
      warnings.push(
        finding('CERTIFICATE_CHAIN_EXPIRED', 'cert', message, 'Get the current intermediate from your CA.'),
      );
    }
  }
  for (const one of chain.certificates) {
    if (one.signsItself || !/^(md[245]|sha-?1)|with-?(md[245]|sha1)\b/i.test(one.signedWith)) continue;
    const message = `${quote(one.subject)} is signed with ${one.signedWith}, which TLS clients refuse.`;
    warnings.push(finding('CERTIFICATE_SIGNATURE_WEAK', 'cert', message, 'Have it issued anew, signed with SHA-256.'));
  }
  if (leaf !== undefined && above.length === 0 && chain.missingIssuer !== undefined) {
    const message = `The issuer of ${quote(leaf.subject)}, ${quote(leaf.issuer)}, was not sent along.`;
    const hint =
      'Unless it is a root that your clients trust, append the intermediate that your CA offers (fullchain.pem).';
    warnings.push(finding('CERTIFICATE_CHAIN_INCOMPLETE', 'cert', message, hint));
  }
  return { problems, warnings };
}

function judgeExpiry(leaf: Certificate, { now }: Circumstances): Finding | undefined {
  if (leaf.notAfter >= now) return undefined;
  const message = `The certificate ${quote(leaf.subject)} expired on ${day(leaf.notAfter)}.`;
  return finding(
    'CERTIFICATE_EXPIRED',
    'cert',
    message,
    'Send a renewed one. To store this one all the same, add ?force=true.',
  );
}

function judgeDates(leaf: Certificate, { now, replaces }: Circumstances): readonly Finding[] {
  const findings: Finding[] = [];
  if (leaf.notBefore > now) {
    const message = `The certificate ${quote(leaf.subject)} becomes valid on ${day(leaf.notBefore)}; until then clients refuse it.`;
    findings.push(finding('CERTIFICATE_NOT_YET_VALID', 'cert', message));
  }
  if (replaces !== undefined && leaf.notAfter < replaces.notAfter) {
    const message = `It expires on ${day(leaf.notAfter)}, before the one it replaces (${day(replaces.notAfter)}).`;
    findings.push(
      finding('CERTIFICATE_EXPIRES_SOONER', 'cert', message, 'Check that this is not an older certificate.'),
    );
  }
  return findings;
}

function judgeNames(leaf: Certificate, { expectedNames, replaces }: Circumstances): readonly Finding[] {
  const findings: Finding[] = [];
  const has = `it has ${listed(leaf.dnsNames)}`;
  if (!leaf.hasSan) {
    const message = `The certificate ${quote(leaf.subject)} has no subjectAltName, only a common name: browsers refuse it.`;
    const hint =
      'Ask for one with the host names in subjectAltName (openssl req … -addext subjectAltName=DNS:example.com).';
    findings.push(finding('CERTIFICATE_WITHOUT_SAN', 'cert', message, hint));
  }
  // Names that end in a wildcard stand for any number of names; no certificate covers those.
  const uncovered = expectedNames.filter((name) => !name.endsWith('*') && !coversName(leaf.dnsNames, name));
  if (uncovered.length > 0) {
    const message = `The certificate does not cover ${listed(uncovered)}; ${has}.`;
    findings.push(finding('CERTIFICATE_NAME_NOT_COVERED', 'cert', message, 'Clients of these names will refuse it.'));
  }
  const narrowed = (replaces?.dnsNames ?? []).filter((name) => !coversName(leaf.dnsNames, name));
  if (narrowed.length > 0) {
    const message = `The certificate it replaces also covered ${listed(narrowed)}; this one does not.`;
    findings.push(finding('CERTIFICATE_NAMES_NARROWED', 'cert', message));
  }
  return findings;
}

const serverAuthentication = '1.3.6.1.5.5.7.3.1';
const anyUsage = '2.5.29.37.0';

function judgeUse(leaf: Certificate): readonly Finding[] {
  const findings: Finding[] = [];
  const usage = leaf.extendedKeyUsage;
  if (usage !== undefined && !usage.includes(serverAuthentication) && !usage.includes(anyUsage)) {
    const message = `The certificate ${quote(leaf.subject)} is not meant for TLS servers (extended key usage).`;
    findings.push(finding('CERTIFICATE_NOT_FOR_SERVERS', 'cert', message, 'Ask your CA for a TLS server certificate.'));
  }
  if (leaf.signsItself) {
    const message = `The certificate ${quote(leaf.subject)} signs itself; only clients that were given it will trust it.`;
    findings.push(finding('CERTIFICATE_SELF_SIGNED', 'cert', message));
  }
  return findings;
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'no DNS names';
  const shown = names.slice(0, 5).map((name) => quote(name));
  return names.length > 5 ? `${shown.join(', ')} and ${names.length - 5} more` : shown.join(', ');
}

export function day(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? 'an unknown date' : date.toISOString().slice(0, 10);
}
