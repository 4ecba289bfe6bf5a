// The counters of all processes of a node as one. A process that has ended still counts: a counter never goes down.
import { createCounters } from './counters.ts';
import type { CountersSnapshot, HistogramSnapshot } from './counters.ts';

export interface WorkerCounters {
  /** Never given to another process. */
  readonly worker: number;
  readonly counters: CountersSnapshot;
}

/** Workers of the past that are kept apart; the ones unseen for longest become one sum. */
const pastMax = 64;

/**
 * @returns a function from what the living workers count now to what all workers have counted. One that does not answer
 * counts as it last did.
 */
export function createCounterSum(): (workers: readonly WorkerCounters[]) => CountersSnapshot {
  const known = new Map<number, CountersSnapshot>();
  let past = createCounters().snapshot();

  return (workers) => {
    for (const { worker, counters } of workers) {
      // To the end: the order is that of the last sight.
      known.delete(worker);
      known.set(worker, counters);
    }
    for (const [worker, counters] of known) {
      if (known.size <= workers.length + pastMax) break;
      past = add(past, counters);
      known.delete(worker);
    }
    const connectionsOpen = workers.map(({ counters }) => counters.connectionsOpen).reduce(addNumbers, noConnections);
    return { ...[...known.values()].reduce(add, past), connectionsOpen };
  };
}

const noConnections = { plain: 0, tls: 0 };

function add(left: CountersSnapshot, right: CountersSnapshot): CountersSnapshot {
  return {
    connectionsOpen: noConnections,
    connectionsAccepted: addNumbers(left.connectionsAccepted, right.connectionsAccepted),
    connectionsRefused: addNumbers(left.connectionsRefused, right.connectionsRefused),
    limitsReached: addNumbers(left.limitsReached, right.limitsReached),
    handshakes: left.handshakes.map((one, index) => ({
      ...one,
      count: one.count + (right.handshakes[index]?.count ?? 0),
    })),
    handshakeFailures: addNumbers(left.handshakeFailures, right.handshakeFailures),
    clientProofs: addNumbers(left.clientProofs, right.clientProofs),
    clientRefusals: addNumbers(left.clientRefusals, right.clientRefusals),
    contexts: addNumbers(left.contexts, right.contexts),
    requests: addNumbers(left.requests, right.requests),
    requestDuration: addHistograms(left.requestDuration, right.requestDuration),
    upstreamDuration: addHistograms(left.upstreamDuration, right.upstreamDuration),
    upstreamFailures: addNumbers(left.upstreamFailures, right.upstreamFailures),
    upstreamConnections: addNumbers(left.upstreamConnections, right.upstreamConnections),
    accessLinesDropped: left.accessLinesDropped + right.accessLinesDropped,
  };
}

/** By name; a name that one side lacks is 0 there. */
function addNumbers<Name extends string>(
  left: Readonly<Record<Name, number>>,
  right: Readonly<Record<Name, number>>,
): Readonly<Record<Name, number>> {
  const sum: Record<Name, number> = { ...left };
  for (const name of Object.keys(right) as Name[]) sum[name] = (left[name] ?? 0) + right[name];
  return sum;
}

function addHistograms(left: HistogramSnapshot, right: HistogramSnapshot): HistogramSnapshot {
  return {
    buckets: left.buckets.map((count, index) => count + (right.buckets[index] ?? 0)),
    sumMs: left.sumMs + right.sumMs,
  };
}
