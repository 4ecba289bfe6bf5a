// Names of upstreams → addresses. The system is asked on one of few threads, which a name whose servers say nothing keeps for ten
// seconds and more: so a name is asked for once at a time whoever wants it, names that take long take turns, and the addresses
// that are known of a name are used meanwhile.
import type { LookupAddress, LookupAllOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { createLru } from '../lib/lru.ts';
import type { Deadlines, Timed } from './deadlines.ts';

/** As node:dns `lookup`. */
type SystemLookup = (host: string, options: LookupAllOptions, done: Answer) => void;

type Answer = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;

const namesMax = 10_000;
/** How long an answer counts for all who ask. */
const freshMs = 1000;
/** From then on a name takes long, and what is known of it is used. */
const patienceMs = 500;
/** How long addresses are used while nobody says others: that a name does not exist ends them at once. */
const keptMs = 3_600_000;
/** Of one name. */
const waitingMax = 10_000;

/** @returns for the option `lookup` of sockets */
export function createUpstreamNames(deadlines: Deadlines, lookup: SystemLookup): LookupFunction {
  const names = createLru<string, Name>(namesMax);
  /** Asked for, and taking long: of those that are known to, one at a time; and those who wait for that. */
  const slow = new Set<Name>();
  const waiting = new Set<Name>();

  class Name implements Timed {
    deadline = Number.POSITIVE_INFINITY;
    readonly #host: string;
    #addresses: LookupAddress[] | undefined;
    #readAt = Number.NEGATIVE_INFINITY;
    #askedAt = 0;
    #isAsked = false;
    #tookLong = false;
    #answers: Answer[] = [];

    constructor(host: string) {
      this.#host = host;
    }

    find(answer: Answer): void {
      const age = deadlines.now() - this.#readAt;
      const known = age < keptMs ? this.#addresses : undefined;
      const isFresh = known !== undefined && age < freshMs;
      if (!isFresh && !this.#isAsked) {
        this.#isAsked = true;
        if (this.#tookLong && slow.size > 0) waiting.add(this);
        else this.start();
      }
      if (known !== undefined && (isFresh || this.#tookLong)) process.nextTick(answer, null, known);
      else if (this.#answers.length < waitingMax) this.#answers.push(answer);
      else process.nextTick(answer, noAnswer(this.#host), []);
    }

    start(): void {
      if (this.#tookLong) slow.add(this);
      this.#askedAt = deadlines.now();
      if (this.#askedAt - this.#readAt >= keptMs) this.#addresses = undefined;
      this.deadline = this.#askedAt + patienceMs;
      deadlines.add(this);
      lookup(this.#host, { all: true }, (error, addresses) => this.#told(error, addresses));
    }

    onDeadline(): void {
      deadlines.delete(this);
      this.#tookLong = true;
      slow.add(this);
      if (this.#addresses !== undefined) this.#answer(null, this.#addresses);
    }

    #told(error: NodeJS.ErrnoException | null, addresses: LookupAddress[]): void {
      const now = deadlines.now();
      deadlines.delete(this);
      slow.delete(this);
      this.#isAsked = false;
      this.#tookLong = now - this.#askedAt >= patienceMs;
      if (error === null) {
        this.#addresses = addresses;
        this.#readAt = now;
      } else if (error.code === 'ENOTFOUND') {
        this.#addresses = undefined;
      }
      if (this.#addresses === undefined) this.#answer(error, []);
      else this.#answer(null, this.#addresses);
      const [next] = waiting;
      if (next === undefined || slow.size > 0) return;
      waiting.delete(next);
      next.start();
    }

    #answer(error: NodeJS.ErrnoException | null, addresses: LookupAddress[]): void {
      const answers = this.#answers;
      this.#answers = [];
      for (const answer of answers) answer(error, addresses);
    }
  }

  return (host, options, answer) => {
    let name = names.get(host);
    if (name === undefined) names.set(host, (name = new Name(host)));
    name.find((error, addresses) => tell(answer, options.all === true, error, addresses));
  };
}

function tell(
  answer: Parameters<LookupFunction>[2],
  all: boolean,
  error: NodeJS.ErrnoException | null,
  addresses: LookupAddress[],
): void {
  const [first] = addresses;
  if (first === undefined) answer(error ?? noAnswer(''), []);
  else if (all) answer(null, addresses);
  else answer(null, first.address, first.family);
}

function noAnswer(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo EAI_AGAIN ${host}`), { code: 'EAI_AGAIN' });
}
