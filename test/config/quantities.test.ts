// Sizes and durations.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/quantities.ts';

test('sizes are bytes in powers of 1024', () => {
  const sizes: Record<string, number> = {
    '0': 0,
    '10m': 10_485_760,
    '8k': 8192,
    '8K': 8192,
    '1g': 1024 ** 3,
    '12b': 12,
    '4 k': 4096,
  };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
});

test('durations are seconds when no unit is given', () => {
  const durations: Record<string, number> = {
    '60': 60_000,
    '60s': 60_000,
    '5m': 300_000,
    '1d': 86_400_000,
    '500ms': 500,
    '2h': 7_200_000,
    '0': 0,
  };
  for (const [text, ms] of Object.entries(durations)) assert.equal(parseDuration(text), ms, text);
});

test('anything else is neither', () => {
  for (const text of [
    '',
    'm',
    '-1',
    '1.5m',
    '1e3',
    '10mb',
    '99999999999999999',
    '9999999999999999g',
    '1 w',
    '0x10',
    '1constructor',
  ]) {
    assert.equal(parseSize(text), undefined, text);
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.equal(parseSize(formatSize(value)), value);
      assert.equal(parseDuration(formatDuration(value)), value);
    }),
  );
});
