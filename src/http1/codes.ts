// What the codec answers instead of throwing.
import type { ErrorCode } from '../lib/errors.ts';

/** A reason to refuse a message. */
export type HttpCode = Extract<ErrorCode, `HTTP_${string}`>;

/** How far a parser that takes bytes as they come got. */
export const progress = { more: -1, refused: -2 } as const;
