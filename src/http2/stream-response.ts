// The head of a response on an HTTP/2 stream (RFC 9113 section 8.3.2).
import { type BodyKind, parseContentLength } from '../http1/body-framing.ts';
import type { HttpCode } from '../http1/codes.ts';
import { field } from '../http1/field-names.ts';
import { FieldLines } from '../http1/field-lines.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Response } from '../http1/message.ts';
import { readFields } from './fields.ts';

export class StreamResponse implements Response {
  readonly fields = new FieldLines();
  readonly version = 20;
  status = 0;
  statusText = '';
  bodyKind: BodyKind = 'none';
  contentLength = -1;
  hasDate = false;
  readonly upgrade = undefined;
  readonly connectionNames = undefined;

  /**
   * @param raw names and values in turn
   * @param method of the request
   * @param whole no body follows
   */
  read(raw: readonly string[], method: string, whole: boolean, limits: HeadLimits): HttpCode | undefined {
    this.statusText = '';
    for (let index = 0; index + 1 < raw.length; index += 2) {
      const name = raw[index] as string;
      if (name === ':status') this.statusText = raw[index + 1] as string;
      else if (name.charCodeAt(0) === 0x3a) return 'HTTP_FIELD_NAME_INVALID';
    }
    // 101 has no meaning in HTTP/2 (RFC 9113 section 8.6).
    if (!/^[1-5]\d\d$/.test(this.statusText) || this.statusText === '101') return 'HTTP_STATUS_LINE_INVALID';
    this.status = Number(this.statusText);
    const code = readFields(raw, this.fields);
    if (code !== undefined) return code;
    if (this.fields.text.length > limits.maxBytes) return 'HTTP_HEAD_TOO_LARGE';
    if (this.fields.count > limits.maxFields) return 'HTTP_FIELDS_TOO_MANY';
    return this.#readFraming(method, whole);
  }

  #readFraming(method: string, whole: boolean): HttpCode | undefined {
    const { fields, status } = this;
    this.contentLength = -1;
    this.hasDate = fields.countOf(field.date) > 0;
    if (fields.countOf(field.contentLength) > 1) return 'HTTP_CONTENT_LENGTH_INVALID';
    const length = fields.find(field.contentLength);
    if (length !== undefined) {
      this.contentLength = parseContentLength(length);
      if (this.contentLength === -1) return 'HTTP_CONTENT_LENGTH_INVALID';
    }
    const bodiless = whole || method === 'HEAD' || status < 200 || status === 204 || status === 304;
    if (bodiless || this.contentLength === 0) this.bodyKind = 'none';
    else this.bodyKind = this.contentLength === -1 ? 'chunked' : 'length';
    return undefined;
  }
}
