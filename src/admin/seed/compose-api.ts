// From the fields of a request to an API: which generation it speaks, defaults, merging into the stored one, all problems.
import type { Api, ApiDialect } from '../../model/entities.ts';
import type { Decoded } from '../bodies/decode-fields.ts';
import { inputInvalid, invalid, wholeEntity, type Problem } from '../problems.ts';
import { composeRule } from '../policies/rule-fields.ts';
import { fieldsOf, type ApiFields } from './api-fields.ts';
import {
  checkApiHost,
  checkApiName,
  checkMethod,
  checkPath,
  checkUpstreamUrl,
  defaultApiName,
  type Checked,
} from './api-rules.ts';
import { composeHsts } from './hsts-fields.ts';

export interface ApiIdentity {
  readonly id: string;
  readonly createdAt: number;
}

/**
 * @param names the fields the body has, sound or not
 * @param stored PATCH: what fields that were not sent keep
 * @throws INPUT_INVALID with every problem at once
 */
export function composeApi(
  { values, problems: earlier }: Decoded<ApiFields>,
  names: readonly string[],
  identity: ApiIdentity,
  stored?: Api,
): Api {
  const dialect = dialectOf(names, stored);
  const problems: Problem[] = [...earlier];
  const check = checker(problems);
  const pick = picker(values, stored);

  const hosts = dialect === '0.9' ? one(values, 'request_host', stored?.hosts) : pick('hosts', stored?.hosts, []);
  const uris = dialect === '0.9' ? one(values, 'request_path', stored?.uris) : pick('uris', stored?.uris, []);
  const methods = pick('methods', stored?.methods, []);
  const api: Api = {
    ...identity,
    dialect,
    hosts: check.each(dialect === '0.9' ? 'request_host' : 'hosts', hosts, checkApiHost, hostPhrases[dialect]),
    uris: check.each(dialect === '0.9' ? 'request_path' : 'uris', uris, checkPath, uriPhrases[dialect]),
    methods: check.each(
      'methods',
      methods,
      checkMethod,
      (value, rule) => `method with value '${value}' is invalid: ${rule}`,
    ),
    name: '',
    upstreamUrl: check.one('upstream_url', pick('upstream_url', stored?.upstreamUrl, ''), checkUpstreamUrl),
    stripUri:
      dialect === '0.9'
        ? pick('strip_request_path', stored?.stripUri, false)
        : pick('strip_uri', stored?.stripUri, true),
    preserveHost: pick('preserve_host', stored?.preserveHost, false),
    httpsOnly: pick('https_only', stored?.httpsOnly, false),
    httpIfTerminated: pick('http_if_terminated', stored?.httpIfTerminated, false),
    retries: pick('retries', stored?.retries, 5),
    upstreamConnectTimeoutMs: pick('upstream_connect_timeout', stored?.upstreamConnectTimeoutMs, 60_000),
    upstreamSendTimeoutMs: pick('upstream_send_timeout', stored?.upstreamSendTimeoutMs, 60_000),
    upstreamReadTimeoutMs: pick('upstream_read_timeout', stored?.upstreamReadTimeoutMs, 60_000),
    clientCertificate: composeRule(values, stored?.clientCertificate ?? null, problems),
    hsts: composeHsts(values, stored?.hsts ?? null, problems),
  };
  problems.push(...mustMatchSomething(api, problems));

  const given = pick('name', stored?.name, undefined);
  const name = given ?? (dialect === '0.9' ? defaultApiName(api.hosts[0], api.uris[0]) : undefined);
  if (name !== undefined) check.one('name', name, checkApiName);
  else if (dialect === '0.12') problems.push(invalid('name', 'name is required'));
  if (problems.length > 0) throw inputInvalid(problems);
  return { ...api, name: name ?? '' };
}

/** @throws INPUT_INVALID when the body mixes generations, or speaks the older one to an API of the newer. */
function dialectOf(names: readonly string[], stored: Api | undefined): ApiDialect {
  const [oldField] = fieldsOf('0.9', names);
  const [newField] = fieldsOf('0.12', names);
  if (oldField !== undefined && newField !== undefined) {
    throw inputInvalid([
      invalid(
        wholeEntity,
        `'${oldField}' (Kong 0.9) and '${newField}' (Kong 0.10 to 0.12) cannot be mixed in one request`,
        'Use the field names of one of them.',
      ),
    ]);
  }
  if (oldField !== undefined && stored?.dialect === '0.12') {
    throw inputInvalid([
      invalid(
        oldField,
        `'${oldField}' does not belong to an API that was written with hosts, uris and methods`,
        'Use hosts, uris and strip_uri, or replace the API with PUT.',
      ),
    ]);
  }
  if (newField !== undefined) return '0.12';
  return stored?.dialect ?? '0.9';
}

function mustMatchSomething(api: Api, found: readonly Problem[]): readonly Problem[] {
  const places = api.dialect === '0.9' ? ['request_host', 'request_path'] : ['hosts', 'uris', 'methods'];
  if (api.hosts.length + api.uris.length + api.methods.length > 0) return [];
  if (found.some(({ field }) => places.includes(field.replace(/\.\d+$/, '')))) return [];
  return api.dialect === '0.9'
    ? places.map((field) => invalid(field, "At least a 'request_host' or a 'request_path' must be specified"))
    : [invalid(wholeEntity, "at least one of 'hosts', 'uris' or 'methods' must be specified")];
}

type Phrase = (value: string, rule: string) => string;

const hostPhrases: Readonly<Record<ApiDialect, Phrase>> = {
  '0.9': (value, rule) => `${/^(Invalid hostname|host is empty)$/.test(rule) ? 'Invalid value' : rule}: ${value}`,
  '0.12': (value, rule) => `host with value '${value}' is invalid: ${rule}`,
};

const uriPhrases: Readonly<Record<ApiDialect, Phrase>> = {
  '0.9': (value, rule) => (/^(must be prefixed with slash|invalid)$/.test(rule) ? `${rule}: '${value}'` : rule),
  '0.12': (value, rule) => `uri with value '${value}' is invalid: ${rule}`,
};

const shownMaxLength = 256;

function checker(problems: Problem[]) {
  const soundOr = (field: string, value: string, checked: Checked, phrase: Phrase): string[] => {
    if (checked.kind === 'sound') return [checked.value];
    problems.push(invalid(field, phrase(value.slice(0, shownMaxLength), checked.why.rule), checked.why.hint));
    return [];
  };
  return {
    each: (
      field: string,
      values: readonly string[],
      check: (text: string) => Checked,
      phrase: Phrase,
    ): readonly string[] => [...new Set(values.flatMap((value) => soundOr(field, value, check(value), phrase)))],
    /** A field that is missing or malformed was reported by the decoder. */
    one(field: string, value: string, check: (text: string) => Checked): string {
      if (value === '') return '';
      return soundOr(field, value, check(value), (_, rule) => rule)[0] ?? '';
    },
  };
}

/** What was sent, else what is stored, else the default; `null` asks for the default. */
function picker(values: ApiFields, stored: Api | undefined) {
  return <T>(name: keyof ApiFields, kept: T | undefined, initial: T): T => {
    if (Object.hasOwn(values, name)) return (values[name] as T | null | undefined) ?? initial;
    return stored === undefined ? initial : (kept ?? initial);
  };
}

function one(
  values: ApiFields,
  name: 'request_host' | 'request_path',
  kept: readonly string[] = [],
): readonly string[] {
  if (!Object.hasOwn(values, name)) return kept;
  const value = values[name];
  return value === null || value === undefined ? [] : [value];
}
