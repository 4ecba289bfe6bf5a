// Lists in the seed dialect: `{data, total, next, offset}`, every other query argument an equality filter, `next` absolute.
import type { Collection } from '../../store/contract.ts';
import { pageSizeMax } from '../../store/contract.ts';
import type { Answer, Call } from '../contract.ts';
import { inputInvalid, invalid, type Problem } from '../problems.ts';

const pageSizeDefault = 100;

/** What a query argument adds to the filter; `undefined` refuses its value. */
export type Filters<F> = Readonly<Record<string, (value: string) => F | undefined>>;

/** @throws INPUT_INVALID (an unknown filter, a size that is no number), CURSOR_INVALID */
export async function listSeed<E, F extends object>(
  call: Call,
  path: string,
  source: Collection<E, F>,
  filters: Filters<F>,
  base: F,
  show: (entity: E) => object,
): Promise<Answer> {
  const { size, offset, filter, kept } = readQuery(call.query, filters, base);
  const [page, total] = await Promise.all([source.list({ size, after: offset }, filter), source.count(filter)]);
  const body = { data: page.items.map(show), total };
  if (page.next === undefined) return { status: 200, body };
  const query = new URLSearchParams([...kept, ['size', String(size)], ['offset', page.next]]);
  return { status: 200, body: { ...body, next: `${call.origin}${path}?${query.toString()}`, offset: page.next } };
}

function readQuery<F extends object>(query: URLSearchParams, filters: Filters<F>, base: F) {
  const problems: Problem[] = [];
  const kept: [string, string][] = [];
  let size = pageSizeDefault;
  let offset: string | undefined;
  let filter = base;
  for (const [name, value] of query) {
    if (name === 'offset') offset = value;
    else if (name === 'size') {
      if (/^[1-9]\d{0,8}$/.test(value)) size = Math.min(Number(value), pageSizeMax);
      else problems.push(invalid('size', 'size must be a positive integer'));
    } else if (!Object.hasOwn(filters, name)) problems.push(invalid(name, 'unknown field'));
    else {
      const part = filters[name]?.(value);
      if (part === undefined)
        problems.push(
          invalid(name, name.endsWith('id') ? `${value.slice(0, 100)} is not a valid uuid` : 'invalid value'),
        );
      else {
        filter = { ...filter, ...part };
        kept.push([name, value]);
      }
    }
  }
  if (problems.length > 0) throw inputInvalid(problems);
  return { size, offset, filter, kept };
}
