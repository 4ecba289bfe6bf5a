// The cursor of a list: the sequence number of the last entity given out, made opaque so that nobody computes with it.
import { PortunusError } from '../lib/errors.ts';
import { pageSizeMax, type Page, type Paged } from './contract.ts';

export interface PageBounds {
  /** Only entities with a greater sequence number. */
  readonly after: number;
  /** One more than the page holds: it tells whether another page follows. */
  readonly limit: number;
}

/** @throws CURSOR_INVALID; RangeError for a size out of bounds */
export function pageBounds(page: Page): PageBounds {
  if (!Number.isInteger(page.size) || page.size < 1 || page.size > pageSizeMax) {
    throw new RangeError(`A page has 1 to ${pageSizeMax} entities, not ${page.size}.`);
  }
  return { after: page.after === undefined ? 0 : decode(page.after), limit: page.size + 1 };
}

/** @param rows what was found within `pageBounds(page)`, in order */
export function toPaged<R, E>(
  page: Page,
  rows: readonly R[],
  sequenceOf: (row: R) => number,
  toEntity: (row: R) => E,
): Paged<E> {
  const items = rows.slice(0, page.size);
  const last = items.at(-1);
  return {
    items: items.map((row) => toEntity(row)),
    next: last === undefined || rows.length <= page.size ? undefined : encode(sequenceOf(last)),
  };
}

function encode(sequence: number): string {
  return Buffer.from(`s${sequence}`).toString('base64url');
}

function decode(cursor: string): number {
  const match = /^s([1-9]\d{0,14})$/.exec(Buffer.from(cursor.slice(0, 32), 'base64url').toString('latin1'));
  const sequence = Number(match?.[1]);
  if (match === null || encode(sequence) !== cursor) {
    throw new PortunusError('CURSOR_INVALID', 'This is not a position that a list gave out.', {
      hint: 'Begin again without it.',
    });
  }
  return sequence;
}
