// Lists in today's dialect: `{data, next, offset}`, filtered by tags, `next` relative.
import { Type, type TObject, type TSchema } from 'typebox';
import { PortunusError } from '../../lib/errors.ts';
import { pageSizeMax, type Collection, type TagFilter } from '../../store/contract.ts';
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
  source: Collection<E, F>,
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
  const next = new URLSearchParams({
    offset: page.next,
    ...(tags !== null && { tags }),
    ...(size !== null && { size }),
  });
  return { status: 200, body: { data, next: `${path}?${next.toString()}`, offset: page.next } };
}

export function listOf(item: TSchema): TObject {
  return Type.Object({
    data: Type.Array(item),
    next: nullable(Type.String({ description: 'Path of the next page.' })),
    offset: Type.Optional(Type.String()),
  });
}

export const listQuery = Type.Object({
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: pageSizeMax, default: pageSizeDefault })),
  offset: Type.Optional(Type.String()),
  tags: Type.Optional(Type.String({ description: '`a,b`: both; `a/b`: either.' })),
});

function readSize(text: string | null): number {
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
    throw new PortunusError('LIST_FILTER_INVALID', 'invalid filter syntax');
  }
  return text.includes('/') ? { any: tags } : { all: tags };
}
