// A request's bytes and Content-Type to its fields: JSON, urlencoded and multipart. Which fields there may be is decided
// later, by decode-fields.
import { PortunusError } from '../../lib/errors.ts';
import { emptyBody, givenTwice, nestForm, nestJson, type RequestBody } from './fields.ts';
import { boundaryOf, parseMultipart } from './multipart.ts';
import { repeatedName } from './repeated-name.ts';

/** The media types the server reads, for the OpenAPI document too. */
export const mediaTypes = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'] as const;

/**
 * No bytes: no fields, whatever the Content-Type.
 * @throws BODY_UNPARSABLE, MEDIA_TYPE_UNSUPPORTED, INPUT_INVALID (a field given twice in different spellings)
 */
export function parseRequestBody(
  contentType: string | undefined,
  contentEncoding: string | undefined,
  bytes: Buffer,
): RequestBody {
  if (bytes.length === 0) return emptyBody;
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== 'identity') {
    throw new PortunusError('MEDIA_TYPE_UNSUPPORTED', 'Unsupported Content-Encoding', {
      hint: 'Send the body without Content-Encoding.',
    });
  }
  const mediaType = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase();
  switch (mediaType) {
    case 'application/json':
      return parseJson(bytes);
    case 'application/x-www-form-urlencoded':
      return nestForm(new URLSearchParams(bytes.toString('utf8')));
    case 'multipart/form-data': {
      const boundary = boundaryOf(contentType ?? '');
      if (boundary === undefined) {
        throw new PortunusError('BODY_UNPARSABLE', 'Cannot parse multipart body: its Content-Type names no boundary', {
          hint: 'Let the client set the Content-Type itself; curl does when --form is used without a Content-Type header.',
        });
      }
      return nestForm(parseMultipart(bytes, boundary));
    }
    case undefined:
    default:
      throw new PortunusError('MEDIA_TYPE_UNSUPPORTED', 'Unsupported Content-Type', {
        hint: `Send one of ${mediaTypes.join(', ')}.`,
      });
  }
}

function parseJson(bytes: Buffer): RequestBody {
  let parsed: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    parsed = JSON.parse(text);
  } catch {
    throw new PortunusError('BODY_UNPARSABLE', 'Cannot parse JSON body');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new PortunusError('BODY_UNPARSABLE', 'Cannot parse JSON body', { hint: 'The body must be a JSON object.' });
  }
  const body = nestJson(parsed as Readonly<Record<string, unknown>>);
  const repeated = repeatedName(text);
  if (repeated !== undefined) throw givenTwice(repeated);
  return body;
}
