// Where PostgreSQL is, from pg_url or from pg_host and its neighbours. Whether it answers is the store's to find out.
import { checkRoots, type Report } from './check-settings.ts';
import type { PostgresConfig, PostgresTls } from './config.ts';
import type { Values } from './read-setting.ts';
import type { SettingName } from './settings.ts';

type Place = Pick<PostgresConfig, 'host' | 'port' | 'user' | 'password' | 'database'> & {
  readonly tls: 'off' | 'unverified' | 'verified';
};

/** The settings that pg_url stands in the place of. */
const partsOfUrl = ['pg_host', 'pg_port', 'pg_user', 'pg_password', 'pg_database', 'pg_ssl', 'pg_ssl_verify'] as const;
/** libpq's sslmode. Those that fall back to plain text are refused: whoever cuts the connection could choose it. */
const tlsOfMode: Readonly<Record<string, Place['tls']>> = {
  disable: 'off',
  require: 'unverified',
  'verify-full': 'verified',
};
const defaultPort = 5432;

/** @returns undefined for the embedded store */
export function checkPostgres(values: Values, report: Report): PostgresConfig | undefined {
  const trustedCertificates = checkRoots('pg_ssl_trusted_certificates', values, report);
  if (values.database === 'sqlite') {
    for (const name of ['pg_url', 'pg_host', 'pg_database'] as const) {
      if (report.isSet(name)) report.warning(name, 'is read only with database = postgres');
    }
    return undefined;
  }
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(values.pg_schema)) {
    const expected = 'a name of lower case letters, digits and underscores';
    report.problem('pg_schema', { value: values.pg_schema, expected });
  }
  const place = values.pg_url === '' ? placeOfSettings(values) : placeOfUrl(values, report);
  if (place === undefined) return undefined;
  const { tls: mode, ...where } = place;
  const tls: PostgresTls | undefined =
    mode === 'off' ? undefined : { verify: mode === 'verified', trustedCertificates };
  return { ...where, tls, schema: values.pg_schema, timeoutMs: values.pg_timeout, poolSize: values.pg_pool_size };
}

function placeOfSettings(values: Values): Place {
  return {
    host: values.pg_host,
    port: values.pg_port,
    user: values.pg_user,
    password: values.pg_password,
    database: values.pg_database,
    tls: tlsOf(values),
  };
}

function tlsOf({ pg_ssl, pg_ssl_verify }: Values): Place['tls'] {
  if (!pg_ssl) return 'off';
  return pg_ssl_verify ? 'verified' : 'unverified';
}

/** The URL may hold a password: no message repeats any of it. */
function placeOfUrl(values: Values, report: Report): Place | undefined {
  for (const name of partsOfUrl.filter((name: SettingName) => report.isSet(name))) {
    report.problem(name, { message: `${name} and pg_url say the same thing twice`, expected: 'one of the two' });
  }
  const url = URL.canParse(values.pg_url) ? new URL(values.pg_url) : undefined;
  const mode = url?.searchParams.get('sslmode') ?? 'disable';
  const tls = Object.hasOwn(tlsOfMode, mode) ? tlsOfMode[mode] : undefined;
  const unknown = [...(url?.searchParams.keys() ?? [])].some((name) => name !== 'sslmode');
  const place = url === undefined || !/^postgres(ql)?:$/.test(url.protocol) ? undefined : partsOf(url);
  if (place === undefined || tls === undefined || unknown) {
    const expected =
      'postgres://user:password@host:port/database, and perhaps ?sslmode=disable, require or verify-full; ' +
      'signs such as @ or / in the password are written %40 or %2F';
    report.problem('pg_url', { value: '(hidden)', expected });
    return undefined;
  }
  return { ...place, tls };
}

function partsOf(url: URL): Omit<Place, 'tls'> | undefined {
  try {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const database = decodeURIComponent(url.pathname.slice(1));
    if (host === '' || url.username === '' || database === '' || database.includes('/')) return undefined;
    return {
      host,
      port: url.port === '' ? defaultPort : Number(url.port),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database,
    };
  } catch {
    return undefined;
  }
}
