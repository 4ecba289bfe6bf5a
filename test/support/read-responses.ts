// The responses in what a client received, read without any of our codec.

export interface ReadResponse {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** Its end has come. */
  readonly whole: boolean;
}

/**
 * Final responses, in order; interim ones are passed over. What is no response throws.
 *
 * @param text latin1
 * @param methods of the requests that they answer
 * @param ended the connection has ended
 */
export function readResponses(text: string, methods: readonly string[], ended: boolean): ReadResponse[] {
  const responses: ReadResponse[] = [];
  let at = 0;
  while (at < text.length) {
    const headEnd = text.indexOf('\r\n\r\n', at) + 4;
    if (headEnd === 3) {
      responses.push({ status: 0, head: text.slice(at), body: '', whole: false });
      break;
    }
    const head = text.slice(at, headEnd);
    const status = Number(/^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[!-9;-~]+: ?[^\r\n]*\r\n)*\r\n$/.exec(head)?.[1]);
    if (Number.isNaN(status)) throw new Error(`no head of a response: ${JSON.stringify(head)}`);
    at = headEnd;
    if (status < 200 && status !== 101) continue;
    const method = methods[responses.length];
    if (method === undefined) throw new Error(`a response that nobody asked for: ${JSON.stringify(head)}`);
    const bodyless = method === 'HEAD' || status === 204 || status === 304;
    const { body, end } = bodyless ? { body: '', end: at } : readBody(text, at, head, ended);
    responses.push({ status, head, body, whole: end !== undefined });
    if (end === undefined) break;
    at = end;
  }
  return responses;
}

/** `end` is undefined when the body is not whole. */
function readBody(text: string, at: number, head: string, ended: boolean): { body: string; end: number | undefined } {
  if (/^transfer-encoding: chunked\r$/im.test(head)) return readChunks(text, at);
  const length = /^content-length: (\d+)\r$/im.exec(head)?.[1];
  if (length === undefined) return { body: text.slice(at), end: ended ? text.length : undefined };
  const end = at + Number(length);
  return { body: text.slice(at, end), end: end <= text.length ? end : undefined };
}

function readChunks(text: string, from: number): { body: string; end: number | undefined } {
  let body = '';
  let at = from;
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/.exec(text.slice(at, at + 20));
    if (line === null) {
      if (/^[0-9a-f]*\r?$/.test(text.slice(at))) return { body, end: undefined };
      throw new Error(`no chunk: ${JSON.stringify(text.slice(at, at + 20))}`);
    }
    at += line[0].length;
    const length = Number.parseInt(line[1] ?? '', 16);
    if (length === 0) {
      if (text.startsWith('\r\n', at)) return { body, end: at + 2 };
      const end = text.indexOf('\r\n\r\n', at);
      return { body, end: end === -1 ? undefined : end + 4 };
    }
    body += text.slice(at, at + length);
    if (at + length + 2 > text.length) return { body, end: undefined };
    if (!text.startsWith('\r\n', at + length)) throw new Error('a chunk longer than its size');
    at += length + 2;
  }
}
