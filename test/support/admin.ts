// Calls of the Admin API as JSON.
import { hear, rememberKeysIn } from './secrets.ts';

export interface Answer {
  readonly status: number;
  // What an answer holds is what the test says it holds.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
  readonly headers: Headers;
  readonly revision: number | undefined;
}

export async function call(base: string, method: string, path: string, body?: object): Promise<Answer> {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  if (sent !== undefined) rememberKeysIn(sent);
  const response = await fetch(`${base}${path}`, {
    method,
    ...(sent !== undefined && { headers: { 'content-type': 'application/json' }, body: sent }),
  });
  const text = await response.text();
  hear(`the answer to ${method} ${path.split('?')[0]}`, `${JSON.stringify([...response.headers])} ${text}`);
  const revision = response.headers.get('portunus-revision');
  return {
    status: response.status,
    body: text === '' ? undefined : JSON.parse(text),
    headers: response.headers,
    revision: revision === null ? undefined : Number(revision),
  };
}

/** As `call`, for what must succeed. */
export async function expectOk(base: string, method: string, path: string, body?: object): Promise<Answer> {
  const answer = await call(base, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}
