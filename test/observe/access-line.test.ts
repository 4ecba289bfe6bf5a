// A line of the access log: JSON whatever is in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { formatAccessLine } from '../../src/observe/access-line.ts';
import type { AccessEntry } from '../../src/observe/contract.ts';

const entry: AccessEntry = {
  remoteAddress: '192.0.2.7',
  method: 'GET',
  target: '/a?b=c',
  httpVersion: '1.1',
  host: 'a.test',
  status: 200,
  responseBodyBytes: 12,
  requestBodyBytes: 0,
  totalMs: 1.23456,
  upstreamMs: 0.5,
  tls: true,
  serverName: 'a.test',
  apiName: 'mockbin',
  requestId: 'f00d',
  userAgent: 'curl/8',
  errorCode: undefined,
  errorReason: undefined,
  clientCertificate: undefined,
};

test('a line has every field under its name', () => {
  assert.deepEqual(JSON.parse(formatAccessLine(entry, Date.UTC(2026, 0, 31, 12, 0, 0, 7))), {
    time: '2026-01-31T12:00:00.007Z',
    remote_address: '192.0.2.7',
    method: 'GET',
    host: 'a.test',
    target: '/a?b=c',
    http_version: '1.1',
    status: 200,
    request_bytes: 0,
    response_bytes: 12,
    total_ms: 1.235,
    upstream_ms: 0.5,
    tls: true,
    server_name: 'a.test',
    api: 'mockbin',
    request_id: 'f00d',
    user_agent: 'curl/8',
  });
});

test('what is absent is null', () => {
  const line = formatAccessLine(
    { ...entry, upstreamMs: -1, serverName: undefined, apiName: undefined, userAgent: undefined },
    0,
  );
  const { upstream_ms, server_name, api, user_agent } = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual([upstream_ms, server_name, api, user_agent], [null, null, null, null]);
});

test('an answer of our own has its code', () => {
  const line = formatAccessLine({ ...entry, status: 431, errorCode: 'HTTP_FIELDS_TOO_MANY' }, 0);
  assert.equal((JSON.parse(line) as Record<string, unknown>)['error'], 'HTTP_FIELDS_TOO_MANY');
});

test('a certificate that a client proved, and what was wrong with one, are there where there is something to say', () => {
  const line = formatAccessLine(
    { ...entry, errorCode: 'CLIENT_CERTIFICATE_REFUSED', errorReason: 'revoked', clientCertificate: 'ab12' },
    0,
  );
  const { error, error_reason, client_certificate } = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual([error, error_reason, client_certificate], ['CLIENT_CERTIFICATE_REFUSED', 'revoked', 'ab12']);
});

test('JSON.parse gives back the values, for any texts and numbers, and a line is one line', () => {
  const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: loneSurrogates() }));
  fc.assert(
    fc.property(anyText, anyText, anyText, fc.integer(), fc.double(), (target, host, userAgent, bytes, ms) => {
      const line = formatAccessLine({ ...entry, target, host, userAgent, responseBodyBytes: bytes, totalMs: ms }, 1);
      assert.equal(line.indexOf('\n'), line.length - 1);
      const read = JSON.parse(line) as Record<string, unknown>;
      assert.equal(read['target'], target);
      assert.equal(read['host'], host);
      assert.equal(read['user_agent'], userAgent);
      assert.equal(read['response_bytes'], bytes);
      const expected = Math.round(ms * 1000) / 1000;
      assert.equal(read['total_ms'], Number.isFinite(expected) ? expected + 0 : null);
      assert.equal(Buffer.from(line).toString(), line, 'survives UTF-8');
    }),
  );
});

test('the time is that of toISOString', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), (date) => {
      const { time } = JSON.parse(formatAccessLine(entry, date.getTime())) as Record<string, unknown>;
      assert.equal(time, date.toISOString());
    }),
  );
});

function loneSurrogates() {
  return fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
}
