// Field lines of a header block that never became whole lie in memory that node:http2's session counts and its stream frees.
// When both are garbage at once the session may go first, and Node aborts the process. So what a session has inside is kept
// until that of the stream is gone.
import type { Http2Stream } from 'node:http2';

/** What node:http2 has inside of a stream, and of its session. */
export interface Inside {
  readonly stream: object;
  readonly session: object;
}

type Handles = Record<symbol, object | undefined>;

const kept = new FinalizationRegistry<object>(() => undefined);

let handle: symbol | undefined;

/** Undefined: this Node has it elsewhere. @param stream open */
export function insideOf(stream: Http2Stream): Inside | undefined {
  handle ??= Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kHandle');
  if (handle === undefined) return undefined;
  const ofStream = (stream as unknown as Handles)[handle];
  const ofSession = (stream.session as unknown as Handles | undefined)?.[handle];
  return ofStream === undefined || ofSession === undefined ? undefined : { stream: ofStream, session: ofSession };
}

/** For a stream that ends before its peer has ended it. */
export function outliveStream({ stream, session }: Inside): void {
  kept.register(stream, session);
}
