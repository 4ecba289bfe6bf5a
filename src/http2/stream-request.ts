// The head of a request on an HTTP/2 stream, as HTTP/1.1 could say it too: what has two readings there is refused
// (RFC 9113 section 8.3.1).
import { randomBytes } from 'node:crypto';
import { type BodyKind, parseContentLength } from '../http1/body-framing.ts';
import type { HttpCode } from '../http1/codes.ts';
import { field } from '../http1/field-names.ts';
import { FieldLines } from '../http1/field-lines.ts';
import { parseHost, sameAuthority } from '../http1/host-field.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Request } from '../http1/message.ts';
import { isToken } from '../http1/octets.ts';
import { isOfConnection } from '../http1/request-head.ts';
import { parseRequestTarget } from '../http1/request-target.ts';
import { addField, readFields } from './fields.ts';

/** What the request target's octets may be, as in HTTP/1.1 (http1/octets `requestTarget`). */
const targetOctets = /^[!$-;=?-~]+$/;
const methodMaxLength = 32;
const mayHaveBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Filled again by each `read`; valid until the next. */
export class StreamRequest implements Request {
  readonly fields = new FieldLines();
  method = '';
  target = '';
  path = '/';
  query = '';
  asterisk = false;
  readonly version = 20;
  authority = '';
  host = '';
  bodyKind: BodyKind = 'none';
  contentLength = 0;
  expectContinue = false;
  upgrade: string | undefined;
  acceptsTrailers = false;
  authenticatesConnection = false;
  readonly connectionNames = undefined;

  /**
   * @param raw names and values in turn, pseudo-header fields among them
   * @param whole no body follows
   * @returns why the request is refused
   */
  read(raw: readonly string[], whole: boolean, limits: HeadLimits): HttpCode | undefined {
    let scheme: string | undefined;
    let authority: string | undefined;
    let protocol: string | undefined;
    let bytes = 0;
    this.#forget();
    for (let index = 0; index + 1 < raw.length; index += 2) {
      const name = raw[index] as string;
      const value = raw[index + 1] as string;
      bytes += name.length + value.length + 4;
      if (name.charCodeAt(0) !== 0x3a) continue;
      if (name === ':method') this.method = value;
      else if (name === ':path') this.target = value;
      else if (name === ':scheme') scheme = value;
      else if (name === ':authority') authority = value;
      else if (name === ':protocol') protocol = value;
      else return 'HTTP_FIELD_NAME_INVALID';
    }
    if (this.target.length > limits.maxTargetBytes) return 'HTTP_TARGET_TOO_LONG';
    if (bytes > limits.maxBytes) return 'HTTP_HEAD_TOO_LARGE';
    return (
      this.#readMethod(protocol, whole) ??
      readFields(raw, this.fields) ??
      (this.fields.count > limits.maxFields ? 'HTTP_FIELDS_TOO_MANY' : undefined) ??
      this.#readTarget(scheme, authority) ??
      this.#readFields(whole)
    );
  }

  #forget(): void {
    this.method = '';
    this.target = '';
    this.path = '/';
    this.query = '';
    this.asterisk = false;
    this.authority = '';
    this.host = '';
    this.bodyKind = 'none';
    this.contentLength = 0;
    this.expectContinue = false;
    this.upgrade = undefined;
    this.acceptsTrailers = false;
    this.authenticatesConnection = false;
    this.fields.clear();
  }

  /** Extended CONNECT (RFC 8441 section 4) is what HTTP/1.1 says with GET and Upgrade. */
  #readMethod(protocol: string | undefined, whole: boolean): HttpCode | undefined {
    if (protocol !== undefined) {
      // Its client could say nothing any more.
      if (whole) return 'HTTP_METHOD_UNSUPPORTED';
      if (this.method !== 'CONNECT' || protocol.toLowerCase() !== 'websocket') return 'HTTP_METHOD_UNSUPPORTED';
      this.method = 'GET';
      this.upgrade = protocol;
      return undefined;
    }
    if (this.method === 'CONNECT' || this.method === 'TRACE') return 'HTTP_METHOD_UNSUPPORTED';
    return this.method.length > methodMaxLength || !isToken(this.method) ? 'HTTP_METHOD_INVALID' : undefined;
  }

  #readTarget(scheme: string | undefined, authority: string | undefined): HttpCode | undefined {
    if (scheme !== 'https' && scheme !== 'http') return 'HTTP_TARGET_INVALID';
    if (!targetOctets.test(this.target)) return 'HTTP_TARGET_INVALID';
    const target = parseRequestTarget(this.target, this.method);
    if (target.kind === 'invalid') return 'HTTP_TARGET_INVALID';
    this.asterisk = target.kind === 'asterisk';
    if (target.kind === 'path') {
      if (target.authority !== undefined) return 'HTTP_TARGET_INVALID';
      this.path = target.path;
      this.query = target.query;
    }
    const { fields } = this;
    const said = fields.countOf(field.host);
    if (said > 1) return 'HTTP_HOST_REPEATED';
    const host = said === 0 ? undefined : fields.find(field.host);
    const named = authority ?? host;
    if (named === undefined || named === '') return 'HTTP_HOST_MISSING';
    const parsed = parseHost(named);
    if (parsed === undefined) return 'HTTP_HOST_INVALID';
    this.authority = named;
    this.host = parsed;
    if (host === undefined || authority === undefined) return undefined;
    if (parseHost(host) === undefined) return 'HTTP_HOST_INVALID';
    return sameAuthority(host, authority, scheme === 'https' ? 443 : 80) ? undefined : 'HTTP_TARGET_DISAGREES';
  }

  #readFields(whole: boolean): HttpCode | undefined {
    const { fields } = this;
    let length: string | undefined;
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.id(index)) {
        case field.contentLength:
          if (length !== undefined) return 'HTTP_CONTENT_LENGTH_INVALID';
          length = fields.value(index);
          break;
        case field.te:
          // RFC 9113 section 8.2.2
          if (fields.value(index).toLowerCase() !== 'trailers') return 'HTTP_CONNECTION_FIELD';
          this.acceptsTrailers = true;
          break;
        case field.authorization:
          this.authenticatesConnection ||= isOfConnection(fields.value(index));
          break;
        case field.expect:
          if (fields.value(index).toLowerCase() !== '100-continue') return 'HTTP_EXPECTATION_UNKNOWN';
          this.expectContinue = !whole;
          break;
        default:
          break;
      }
    }
    if (this.upgrade !== undefined) return this.#readUpgrade(length);
    if (length === undefined) {
      this.bodyKind = whole ? 'none' : 'chunked';
      // RFC 9110 section 8.6: HTTP/1.1 servers expect to be told that there is none.
      if (whole && mayHaveBody.has(this.method)) this.#addField('content-length', '0', field.contentLength);
      return undefined;
    }
    this.contentLength = parseContentLength(length);
    if (this.contentLength === -1 || (length.length > 1 && length.startsWith('0')))
      return 'HTTP_CONTENT_LENGTH_INVALID';
    if (whole) return this.contentLength === 0 ? undefined : 'HTTP_CONTENT_LENGTH_INVALID';
    // Of length 0 and not ended yet: the end, or trailers, are still to come.
    this.bodyKind = this.contentLength === 0 ? 'none' : 'length';
    return undefined;
  }

  /** The key that a WebSocket handshake has in HTTP/1.1 alone (RFC 8441 section 5, RFC 6455 section 4.1). */
  #readUpgrade(length: string | undefined): HttpCode | undefined {
    if (length !== undefined) return 'HTTP_CONTENT_LENGTH_INVALID';
    const { fields } = this;
    let hasKey = false;
    for (let index = 0; index < fields.count; index += 1) hasKey ||= fields.name(index) === 'sec-websocket-key';
    if (!hasKey) this.#addField('sec-websocket-key', randomBytes(16).toString('base64'), field.other);
    this.expectContinue = false;
    return undefined;
  }

  #addField(name: string, value: string, id: number): void {
    this.fields.text = addField(this.fields, this.fields.text, name, value, id);
  }
}
