// From whatever was thrown to an answer in the dialect of the route. Only PortunusErrors may say anything.
import { isPortunusError, PortunusError, type ErrorCode } from '../lib/errors.ts';
import type { Answer, Dialect } from './contract.ts';
import { unexpectedError } from './http-errors.ts';
import { seedError } from './seed/errors.ts';
import { todayError } from './today/errors.ts';
import { withholdMaterial } from './withhold-material.ts';

export function answerForError(error: unknown, dialect: Dialect): Answer {
  const known = isPortunusError(error) ? error : fromFastify(error);
  return known === undefined ? unexpectedError : withholdMaterial(dialects[dialect](known));
}

const dialects: Readonly<Record<Dialect, (error: PortunusError) => Answer>> = {
  seed: seedError,
  today: todayError,
  own: seedError,
};

/** Fastify's own refusals; undefined for everything else, which is a defect of ours. */
function fromFastify(error: unknown): PortunusError | undefined {
  const [code, message] = fastifyErrors[(error as { code?: string }).code ?? ''] ?? [];
  return code === undefined ? undefined : new PortunusError(code, message ?? '');
}

const fastifyErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_BAD_URL: ['REQUEST_TARGET_INVALID', 'The path has a malformed percent-encoding'],
  FST_ERR_MAX_PARAM_LENGTH: ['REQUEST_TARGET_INVALID', 'The path is too long'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['BODY_TOO_LARGE', 'Payload too large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['MEDIA_TYPE_UNSUPPORTED', 'Unsupported Content-Type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['BODY_UNPARSABLE', 'The body ended early'],
  ECONNRESET: ['BODY_UNPARSABLE', 'The body ended early'],
};

/** What Node's HTTP parser refuses before there is a request (RFC 9110 section 15.5). */
export function clientErrorAnswer(code: string | undefined): readonly [status: string, message: string] {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['408 Request Timeout', 'Request timeout'];
    case 'HPE_HEADER_OVERFLOW':
      return ['431 Request Header Fields Too Large', 'The request head is too large'];
    case undefined:
    default:
      return ['400 Bad Request', 'Bad request'];
  }
}
