// Full handshakes at a steady rate, each for another name; at the end says how long each took, in milliseconds, and how many
// failed. Run in a process of its own.
//
//   node steady-names.ts <port> <rate> <first> <count>     names of certificates that are there, in turn
//   node steady-names.ts <port> <rate> unknown             names that nobody has, each another one
import { randomBytes } from 'node:crypto';
import { runSteadily } from '../load/steady.ts';
import { nameOf } from './leaves.ts';

const [port = '', rate = '', first = '', count = ''] = process.argv.slice(2);

runSteadily(
  { port: Number(port), rate: Number(rate), tickMs: 5 },
  (number) =>
    first === 'unknown'
      ? `u${randomBytes(6).toString('hex')}.nowhere.test`
      : nameOf(Number(first) + (number % Number(count))),
  ({ times, failed }) => JSON.stringify({ times, failed }),
);
