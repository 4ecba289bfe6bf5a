// The trailer section of a stream (RFC 9113 section 8.1), held to what a chunked body of HTTP/1.1 may end with.
import { hasForbiddenTrailer } from '../http1/body-decoder.ts';
import { FieldLines } from '../http1/field-lines.ts';
import { fieldsObject, readFields } from './fields.ts';

const nothingDropped = new Uint8Array(256);

/** @returns undefined where a field frames, routes or authenticates the message, or is none */
export function readTrailers(raw: readonly string[]): FieldLines | undefined {
  const fields = new FieldLines();
  for (let index = 0; index < raw.length; index += 2) if (raw[index]?.startsWith(':') === true) return undefined;
  return readFields(raw, fields) === undefined && !hasForbiddenTrailer(fields) ? fields : undefined;
}

/** What node:http2 takes; none at all end the stream with an empty frame. */
export function trailersObject(trailers: FieldLines | undefined): ReturnType<typeof fieldsObject> {
  return fieldsObject(trailers?.serialize(nothingDropped, undefined) ?? '');
}
