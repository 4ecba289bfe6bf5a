// Whether a client has proved enough for a request, by the policy of the host that it is for and the rule of its route, as
// they are at this moment. What the connection began with does not matter, what was proved on it does.
import type { ClientCertificateRule, HostPolicy, PolicyCatalog, Route } from '../catalog/contract.ts';
import { reasonOf } from '../lib/errors.ts';
import { policyOrder } from '../model/host-name.ts';
import type { ClientRefusal, Log } from '../observe/contract.ts';
import { createClientJudge, type Judgement } from '../tls/client-judge.ts';
import type { ProvenClient } from '../tls/client-proof.ts';
import type { Connection, ConnectionSecurity } from '../tls/connection.ts';

export type Admission =
  /** `client`: who it is, where a rule wanted to know and it said. */
  | { readonly kind: 'admitted'; readonly client: ProvenClient | undefined }
  | { readonly kind: 'refused'; readonly code: AdmissionCode; readonly reason: ClientRefusal };

type AdmissionCode =
  | 'CLIENT_CERTIFICATE_REQUIRED'
  | 'CLIENT_CERTIFICATE_REFUSED'
  | 'CLIENT_CERTIFICATE_NEEDS_TLS'
  | 'CONNECTION_NOT_PROVEN';

export interface Admissions {
  /** False: everything is admitted, and nothing need be asked. */
  readonly isNeeded: boolean;
  /**
   * Judges by the rules of this moment, whatever name the connection began with.
   *
   * @param host that the request is for, in normal form
   * @param route undefined where none matches: the host's policy holds all the same
   */
  admit(connection: Connection, host: string, route: Route | undefined): Admission;
}

export interface AdmissionDependencies {
  readonly policies: PolicyCatalog;
  readonly settings: { readonly sslMinVersion: string; readonly sslCiphers: string };
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
  readonly log: Log;
}

/** Dates are looked at again after so long. */
const secondMs = 1000;
/** Policies that cannot be read are told of once in so long. */
const failureIntervalMs = 1000;

const admitted: Admission = { kind: 'admitted', client: undefined };

export function createAdmissions({ policies, settings, now, log }: AdmissionDependencies): Admissions {
  const judge = createClientJudge(policies);
  /** The last answer on each connection: the next request is most often like the one before. */
  const last = new WeakMap<ConnectionSecurity, Remembered>();
  let toldAt = Number.NEGATIVE_INFINITY;

  return {
    get isNeeded() {
      return policies.hasPolicies;
    },
    admit(connection, host, route) {
      const { security } = connection;
      const rule = route?.clientCertificate;
      try {
        if (security === undefined) return overPlainHttp(findPolicy(host), rule);
        const second = Math.floor(now() / secondMs);
        const known = last.get(security);
        if (
          known?.second === second &&
          known.epoch === policies.policyEpoch &&
          known.host === host &&
          known.rule === rule
        ) {
          return known.admission;
        }
        const admission = overTls(security, findPolicy(host), rule);
        last.set(security, { second, epoch: policies.policyEpoch, host, rule, admission });
        return admission;
      } catch (error) {
        const time = now();
        if (Math.abs(time - toldAt) >= failureIntervalMs) {
          toldAt = time;
          log.error(
            { host, reason: reasonOf(error) },
            'a policy cannot be read; requests that it may be for are refused',
          );
        }
        return { kind: 'refused', code: 'CLIENT_CERTIFICATE_REFUSED', reason: 'policy-unreadable' };
      }
    },
  };

  function findPolicy(host: string): HostPolicy | undefined {
    return policies.findHostPolicy(policyOrder(host));
  }

  function overTls(
    security: ConnectionSecurity,
    policy: HostPolicy | undefined,
    rule: ClientCertificateRule | undefined,
  ): Admission {
    // Versions are named such that a later one is greater.
    if (security.version < (policy?.minVersion ?? settings.sslMinVersion)) return notProven('version');
    if (security.ciphers !== (policy?.ciphers ?? settings.sslCiphers)) return notProven('ciphers');
    const byHost = judgeRule(policy?.clientCertificate, security);
    if (byHost.kind === 'refused') return byHost;
    const byRoute = judgeRule(rule, security);
    return byRoute.kind === 'refused' || byRoute.client !== undefined ? byRoute : byHost;
  }

  function judgeRule(rule: ClientCertificateRule | undefined, { proof }: ConnectionSecurity): Admission {
    return rule === undefined ? admitted : admissionOf(judge.judge(rule, proof, now()));
  }
}

interface Remembered {
  readonly second: number;
  readonly epoch: number;
  readonly host: string;
  readonly rule: ClientCertificateRule | undefined;
  readonly admission: Admission;
}

/** A proxy in front that says it had TLS is not enough: it does not say what the client proved there. */
function overPlainHttp(policy: HostPolicy | undefined, rule: ClientCertificateRule | undefined): Admission {
  const isRequired = policy?.clientCertificate?.mode === 'required' || rule?.mode === 'required';
  return isRequired ? { kind: 'refused', code: 'CLIENT_CERTIFICATE_NEEDS_TLS', reason: 'no-tls' } : admitted;
}

function admissionOf(judgement: Judgement): Admission {
  if (judgement.kind === 'proven') return { kind: 'admitted', client: judgement.client };
  if (judgement.kind === 'faulty') {
    return { kind: 'refused', code: 'CLIENT_CERTIFICATE_REFUSED', reason: judgement.fault };
  }
  return admissionsOf[judgement.kind];
}

const admissionsOf: Readonly<Record<Exclude<Judgement['kind'], 'proven' | 'faulty'>, Admission>> = {
  anonymous: admitted,
  'not-asked': notProven('not-asked'),
  'not-sent': { kind: 'refused', code: 'CLIENT_CERTIFICATE_REQUIRED', reason: 'not-sent' },
};

/** RFC 9110 section 15.5.20: on a connection that begins with the host's own name, the answer may be another. */
function notProven(reason: ClientRefusal): Admission {
  return { kind: 'refused', code: 'CONNECTION_NOT_PROVEN', reason };
}
