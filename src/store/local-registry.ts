// The registry of a node that is alone: it knows itself.
import type { NodeIdentity, NodeRecord, NodeRegistry, NodeReport } from './node-registry.ts';

export function createLocalRegistry(): NodeRegistry {
  let record: NodeRecord | undefined;
  return {
    async register(identity, report) {
      record = { ...identity, ...report, startedAt: Date.now(), silentMs: 0 };
    },
    async report(identity: NodeIdentity, report: NodeReport) {
      if (record !== undefined) record = { ...record, ...identity, ...report };
      return true;
    },
    async leave() {
      record = undefined;
    },
    list: () => Promise.resolve(record === undefined ? [] : [record]),
    onReport: () => () => undefined,
  };
}
