// What a request's head means once its form is checked: target, host, body framing, persistence (RFC 9112 sections 3, 6, 9).
import { type BodyKind, checkTransferEncoding, parseContentLength } from './body-framing.ts';
import type { HttpCode } from './codes.ts';
import { option, parseConnectionOptions } from './connection-options.ts';
import { field } from './field-names.ts';
import type { FieldLines } from './field-lines.ts';
import type { HeadParser } from './head-parser.ts';
import type { Request } from './message.ts';
import { parseHost, sameAuthority } from './host-field.ts';
import { parseRequestTarget } from './request-target.ts';

/** One for each connection, filled again by each request; valid until the next. */
export class RequestHead implements Request {
  readonly fields: FieldLines;
  method = '';
  /** As it came. */
  target = '';
  /** Begins with `/`, still encoded; `/` for `*`. */
  path = '/';
  /** `` or with its `?`. */
  query = '';
  asterisk = false;
  version: 10 | 11 = 11;
  /** Host as it came, `` when there was none; the authority of an absolute target. */
  authority = '';
  /** Normal form, without port. */
  host = '';
  bodyKind: BodyKind = 'none';
  /** For `length`. */
  contentLength = 0;
  /** The client wants to go on with the connection. */
  keepAlive = true;
  expectContinue = false;
  /** The protocols of a request to change over; undefined when it is none or carries a body. */
  upgrade: string | undefined;
  acceptsTrailers = false;
  authenticatesConnection = false;
  /** Fields without a number that Connection takes along, in lower case. */
  connectionNames: readonly string[] | undefined;

  readonly #parser: HeadParser;
  #lastAuthority = '';
  #lastHost: string | undefined = '';

  constructor(parser: HeadParser) {
    this.#parser = parser;
    this.fields = parser.fields;
  }

  /** After a head that could not be parsed: nothing of the request before it may be taken for its own. */
  forget(): void {
    this.fields.clear();
    this.method = '';
    this.target = '';
    this.path = '/';
    this.query = '';
    this.host = '';
    this.authority = '';
    this.version = 11;
    this.keepAlive = false;
  }

  /** Reads what the parser has just completed. Returns why the request is refused, or undefined. */
  // oxlint-disable-next-line complexity -- one pass over the fields, one case each
  read(): HttpCode | undefined {
    const parser = this.#parser;
    const { fields, text } = parser;
    this.method = methodOf(text, parser.methodStart, parser.methodEnd);
    this.target = text.slice(parser.targetStart, parser.targetEnd);
    this.version = parser.version === 10 ? 10 : 11;
    if (this.method === 'CONNECT' || this.method === 'TRACE') return 'HTTP_METHOD_UNSUPPORTED';

    let host: string | undefined;
    let length: string | undefined;
    let codings: string | undefined;
    let connection: string | undefined;
    let upgrade: string | undefined;
    let expect: string | undefined;
    let te: string | undefined;
    this.authenticatesConnection = false;
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.id(index)) {
        case field.host:
          if (host !== undefined) return 'HTTP_HOST_REPEATED';
          host = fields.value(index);
          break;
        case field.contentLength:
          if (length !== undefined) return 'HTTP_CONTENT_LENGTH_INVALID';
          length = fields.value(index);
          break;
        case field.transferEncoding:
          codings = joined(codings, fields.value(index));
          break;
        case field.connection:
          connection = joined(connection, fields.value(index));
          break;
        case field.upgrade:
          upgrade = joined(upgrade, fields.value(index));
          break;
        case field.expect:
          expect = joined(expect, fields.value(index));
          break;
        case field.te:
          te = joined(te, fields.value(index));
          break;
        case field.authorization:
          this.authenticatesConnection ||= isOfConnection(fields.value(index));
          break;
        default:
          break;
      }
    }
    const code = this.#readTarget(host) ?? this.#readFraming(length, codings);
    if (code !== undefined) return code;

    const options = parseConnectionOptions(connection);
    this.connectionNames = options.names;
    this.keepAlive =
      (options.bits & option.close) === 0 && (this.version === 11 || (options.bits & option.keepAlive) !== 0);
    this.upgrade =
      upgrade !== undefined && this.version === 11 && this.bodyKind === 'none' && (options.bits & option.upgrade) !== 0
        ? upgrade
        : undefined;
    this.acceptsTrailers = te !== undefined && this.version === 11 && /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(te);
    return this.#readExpectation(expect);
  }

  #readTarget(host: string | undefined): HttpCode | undefined {
    if (host === undefined && this.version === 11) return 'HTTP_HOST_MISSING';
    const target = parseRequestTarget(this.target, this.method);
    if (target.kind === 'invalid') return 'HTTP_TARGET_INVALID';
    this.asterisk = target.kind === 'asterisk';
    this.path = '/';
    this.query = '';
    this.authority = host ?? '';
    if (target.kind === 'path') {
      this.path = target.path;
      this.query = target.query;
      if (target.authority !== undefined) {
        if (target.authority === '') return 'HTTP_TARGET_INVALID';
        this.authority = target.authority;
      }
    }
    const parsed = this.#parseHost(this.authority);
    if (parsed === undefined) return this.authority === host ? 'HTTP_HOST_INVALID' : 'HTTP_TARGET_INVALID';
    this.host = parsed;
    if (target.kind === 'path' && target.authority !== undefined && host !== undefined) {
      if (parseHost(host) === undefined) return 'HTTP_HOST_INVALID';
      if (!sameAuthority(host, target.authority, target.defaultPort)) return 'HTTP_TARGET_DISAGREES';
    }
    return undefined;
  }

  /** Requests on one connection name the same host again and again. */
  #parseHost(authority: string): string | undefined {
    if (authority !== this.#lastAuthority) {
      this.#lastHost = parseHost(authority);
      this.#lastAuthority = authority;
    }
    return this.#lastHost;
  }

  #readFraming(length: string | undefined, codings: string | undefined): HttpCode | undefined {
    this.bodyKind = 'none';
    this.contentLength = 0;
    if (codings !== undefined) {
      if (length !== undefined || this.version === 10) return 'HTTP_FRAMING_AMBIGUOUS';
      this.bodyKind = 'chunked';
      return checkTransferEncoding(codings);
    }
    if (length === undefined) return undefined;
    this.contentLength = parseContentLength(length);
    if (this.contentLength === -1) return 'HTTP_CONTENT_LENGTH_INVALID';
    if (this.contentLength > 0) this.bodyKind = 'length';
    return undefined;
  }

  #readExpectation(expect: string | undefined): HttpCode | undefined {
    this.expectContinue = false;
    if (expect === undefined || this.version === 10) return undefined;
    if (expect.toLowerCase() !== '100-continue') return 'HTTP_EXPECTATION_UNKNOWN';
    this.expectContinue = this.bodyKind !== 'none';
    return undefined;
  }
}

function methodOf(text: string, start: number, end: number): string {
  switch (end - start) {
    case 3:
      if (text.startsWith('GET', start)) return 'GET';
      break;
    case 4:
      if (text.startsWith('POST', start)) return 'POST';
      if (text.startsWith('HEAD', start)) return 'HEAD';
      break;
    default:
      break;
  }
  return text.slice(start, end);
}

/** RFC 4559: NTLM always, Negotiate where the server keeps it so. @param credentials an Authorization value */
export function isOfConnection(credentials: string): boolean {
  return /^(?:ntlm|negotiate)\b/i.test(credentials);
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
