// Lists in today's dialect: `{data, next, offset}`, filtered by tags, certificates by expiry too, `next` relative.
import { Type, type TObject, type TSchema } from 'typebox';
import { PortunusError } from '../../lib/errors.ts';
import { pageSizeMax, type CertificateFilter, type Collection, type TagFilter } from '../../store/contract.ts';
import type { Answer, Call } from '../contract.ts';
import { nullable } from '../schemas.ts';

const pageSizeDefault = 100;

/**
 * @param path of the list, for `next`
 * @throws LIST_SIZE_INVALID, LIST_FILTER_INVALID, CURSOR_INVALID
 */
export async function listToday<E, F extends TagFilter>(
  { query }: Call,
  path: string,
  source: Pick<Collection<E, F>, 'list'>,
  filter: F,
  show: (entity: E) => object | Promise<object>,
): Promise<Answer> {
  const size = query.get('size');
  const tags = query.get('tags');
  const page = await source.list(
    { size: readSize(size), after: query.get('offset') ?? undefined },
    { ...filter, tags: readTags(tags) },
  );
  const data = await Promise.all(page.items.map(async (item) => show(item)));
  if (page.next === undefined) return { status: 200, body: { data, next: null } };
  const next = new URLSearchParams({ offset: page.next });
  for (const name of ['tags', 'expires_after', 'expires_before', 'size']) {
    const value = query.get(name);
    if (value !== null) next.set(name, value);
  }
  return { status: 200, body: { data, next: `${path}?${next.toString()}`, offset: page.next } };
}

export function listOf(item: TSchema): TObject {
  return Type.Object({
    data: Type.Array(item),
    next: nullable(Type.String({ description: 'Path of the next page.' })),
    offset: Type.Optional(Type.String()),
  });
}

export const untaggedListQuery = Type.Object({
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: pageSizeMax, default: pageSizeDefault })),
  offset: Type.Optional(Type.String()),
});

export const listQuery = Type.Object({
  ...untaggedListQuery.properties,
  tags: Type.Optional(Type.String({ description: '`a,b`: both; `a/b`: either.' })),
});

export const certificateListQuery = Type.Object({
  ...listQuery.properties,
  expires_after: Type.Optional(Type.String({ description: 'Those that expire then or later, the soonest first.' })),
  expires_before: Type.Optional(
    Type.String({ description: 'Those that expire earlier, the soonest first: `2027-01-31`, RFC 3339, or seconds.' }),
  ),
});

/** @throws LIST_FILTER_INVALID */
export function readExpiry(query: URLSearchParams): CertificateFilter['expires'] {
  const [after, before] = [query.get('expires_after'), query.get('expires_before')];
  if (after === null && before === null) return undefined;
  if (query.has('tags')) {
    throw filterInvalid('tags', 'expires_after and expires_before cannot be joined with tags');
  }
  return { from: readTime('expires_after', after), before: readTime('expires_before', before) };
}

/** As answers have it, in seconds or in milliseconds; or as people write it. @throws LIST_FILTER_INVALID */
export function readTime(name: string, text: string | null): number | undefined {
  if (text === null) return undefined;
  const digits = /^\d{1,13}$/.test(text);
  const time = digits
    ? Number(text) * (text.length < 13 ? 1000 : 1)
    : rfc3339.test(text)
      ? Date.parse(text)
      : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw filterInvalid(
    name,
    'must be a date (2027-01-31), a date and time (2027-01-31T00:00:00Z), or seconds since 1970',
  );
}

/** @returns LIST_FILTER_INVALID. @param option the query parameter @param problem what it must be, without its name */
export function filterInvalid(option: string, problem: string): PortunusError {
  return new PortunusError('LIST_FILTER_INVALID', `${option}: ${problem}`, { facts: { option, problem } });
}

const rfc3339 = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?$/;

export function readSize(text: string | null): number {
  if (text === null) return pageSizeDefault;
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw new PortunusError('LIST_SIZE_INVALID', 'size must be a number');
  const size = Number(text);
  if (Number.isInteger(size) && size >= 1 && size <= pageSizeMax) return size;
  throw new PortunusError('LIST_SIZE_INVALID', `size must be an integer between 1 and ${pageSizeMax}`);
}

function readTags(text: string | null): TagFilter['tags'] {
  if (text === null) return undefined;
  const tags = text.split(/[,/]/).map((tag) => tag.trim());
  if (tags.includes('') || (text.includes(',') && text.includes('/'))) {
    throw filterInvalid('tags', 'invalid filter syntax');
  }
  return text.includes('/') ? { any: tags } : { all: tags };
}
