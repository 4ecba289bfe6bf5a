// The cursor of a list: where the last entity given out stands, made opaque so that nobody computes with it.
import { PortunusError } from '../lib/errors.ts';
import { pageSizeMax, type Page, type Paged } from './contract.ts';

/** What a list goes by: the sequence number; or the expiry in milliseconds, then the sequence number. */
export type Order = 'creation' | 'expiry';

export interface PageBounds {
  /** Only entities that come after this position. */
  readonly after: readonly number[];
  /** One more than the page holds: it tells whether another page follows. */
  readonly limit: number;
}

const orders = {
  creation: { first: [0], form: /^s([1-9]\d{0,14})$/, text: ([sequence]) => `s${sequence}` },
  expiry: {
    first: [Number.MIN_SAFE_INTEGER, 0],
    form: /^e(0|-?[1-9]\d{0,14})\.([1-9]\d{0,14})$/,
    text: ([notAfter, sequence]) => `e${notAfter}.${sequence}`,
  },
} as const satisfies Readonly<
  Record<
    Order,
    {
      /** Before every entity. */
      readonly first: readonly number[];
      readonly form: RegExp;
      readonly text: (position: readonly number[]) => string;
    }
  >
>;

/** @throws CURSOR_INVALID; RangeError for a size out of bounds */
export function pageBounds(page: Page, order: Order): PageBounds {
  if (!Number.isInteger(page.size) || page.size < 1 || page.size > pageSizeMax) {
    throw new RangeError(`A page has 1 to ${pageSizeMax} entities, not ${page.size}.`);
  }
  const after = page.after === undefined ? orders[order].first : decode(page.after, order);
  return { after, limit: page.size + 1 };
}

/** @param rows what was found within `pageBounds(page, order)`, in that order, with columns `sequence` and `not_after` */
export function toPaged<R extends Readonly<Record<string, unknown>>, E>(
  page: Page,
  order: Order,
  rows: readonly R[],
  toEntity: (row: R) => E,
): Paged<E> {
  const items = rows.slice(0, page.size);
  const last = items.at(-1);
  return {
    items: items.map((row) => toEntity(row)),
    next: last === undefined || rows.length <= page.size ? undefined : encode(positionOf(last, order), order),
  };
}

function positionOf(row: Readonly<Record<string, unknown>>, order: Order): readonly number[] {
  const sequence = Number(row['sequence']);
  return order === 'creation' ? [sequence] : [Number(row['not_after']), sequence];
}

function encode(position: readonly number[], order: Order): string {
  return Buffer.from(orders[order].text(position)).toString('base64url');
}

function decode(cursor: string, order: Order): readonly number[] {
  const match = orders[order].form.exec(Buffer.from(cursor.slice(0, 64), 'base64url').toString('latin1'));
  const position = match?.slice(1).map(Number);
  if (position === undefined || encode(position, order) !== cursor) {
    throw new PortunusError('CURSOR_INVALID', 'This is not a position that a list gave out.', {
      hint: 'Begin again without it.',
    });
  }
  return position;
}
